#include "store_checking.h"

#include "cenote/base/bytes.h"
#include "cenote/base/format.h"
#include "cenote/embedded/reactor_thread.h"
#include "cenote/media/uring_device.h"
#include "progress.h"
#include "settings.h"
#include "store_findings.h"

namespace cenote::cli {
namespace {

Task<Result<object::TargetCheckReport>> check_device(UringReactor& reactor, InspectedPath::Member member,
                                                     object::TargetCheckOptions options) {
  CO_TRY(auto devices, co_await InspectedDevices::open(reactor, member));
  auto report = co_await object::check_target(reactor, devices.roles(), std::move(options));
  co_await devices.close();
  co_return report;
}

Json summary_json(const object::TargetCheckReport& report) {
  return {{"trees", report.store.trees},
          {"pages", report.store.pages},
          {"page_images", report.store.images},
          {"extents", report.store.extents},
          {"extent_blocks", report.store.extent_blocks},
          {"lost_blocks", report.store.lost_blocks},
          {"disputed_blocks", report.store.disputed_blocks},
          {"containers", report.containers},
          {"objects", report.objects},
          {"dkeys", report.dkeys},
          {"akeys", report.akeys},
          {"entries", report.entries},
          {"inline_bytes", report.inline_bytes},
          {"stored_bytes", report.stored_bytes},
          {"verified_bytes", report.verified_bytes},
          {"unprotected_bytes", report.unprotected_bytes},
          {"skipped_bytes", report.skipped_bytes}};
}

std::string summary_text(const object::TargetCheckReport& report, bool data) {
  std::string text = fmt::format(
      "  structure  {} trees, {} pages, {} page images verified, {} in {} extents\n"
      "  contents   {} containers, {} objects, {} dkeys, {} akeys, {} versions\n",
      report.store.trees, report.store.pages, report.store.images,
      human_bytes(report.store.extent_blocks * media::kBlockBytes), report.store.extents, report.containers,
      report.objects, report.dkeys, report.akeys, report.entries);
  text += fmt::format("  data       {} of {} equal to their checksums", human_bytes(report.verified_bytes),
                      human_bytes(report.inline_bytes + report.stored_bytes));
  if (report.unprotected_bytes > 0) text += fmt::format(", {} without one", human_bytes(report.unprotected_bytes));
  if (report.skipped_bytes > 0)
    text += fmt::format(", {} perhaps overwritten since", human_bytes(report.skipped_bytes));
  return text + (data ? "\n" : "; stored data was not read (--no-data)\n");
}

std::string result_text(const object::TargetCheckReport& report) {
  if (report.damages + report.warnings == 0) return "  result     ok";
  const auto counted = [](std::uint64_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  const std::string warnings = counted(report.warnings, "warning");
  if (report.damages == 0) return "  result     ok, with " + warnings;
  return fmt::format("  result     DAMAGED: {}, {}", counted(report.damages, "finding"), warnings);
}

}  // namespace

Result<StoreVerdict> check_one_store(const InspectedPath::Member& member, const StoreChecking& checking,
                                     const Output& out) {
  out.line(fmt::format("{}  {}", member.name, member.path));
  Progress progress("checking " + member.name, 0, checking.progress, "");
  StoreFindings findings(out, checking.most_findings, progress);
  object::TargetCheckOptions options;
  options.system = member.system;
  options.target = member.target;
  options.key = member.key;
  options.cache_bytes = checking.cache_bytes;
  options.data = checking.data;
  options.found = [&findings](const object::TargetFinding& found) { findings.add(found); };
  options.progress = [&progress](std::uint64_t done, std::uint64_t total) {
    progress.expect(total);
    progress.update(done, 0);
  };
  TRY(const auto thread, ReactorThread::start());
  const auto report = thread->run([&] { return check_device(thread->reactor(), member, std::move(options)); });
  progress.finish();

  StoreVerdict verdict;
  verdict.document = {{"name", member.name}, {"path", member.path}, {"whole", report && report->damages == 0}};
  verdict.document["findings_omitted"] = findings.omitted();
  if (findings.omitted() > 0) out.line(fmt::format("  and {} more, not listed", findings.omitted()));
  verdict.document["findings"] = findings.take();
  if (!report) {
    verdict.trouble = report.error().code();
    out.line("  result     FAILED: " + report.error().to_string());
    verdict.document["error"] = {{"code", std::string(code_name(report.error().code()))},
                                 {"message", report.error().message()}};
    return verdict;
  }
  if (report->damages > 0) verdict.trouble = Code::kCorrupt;
  out.line(summary_text(*report, checking.data) + result_text(*report));
  verdict.document["basis"] = report->recovered ? "recovered" : "checkpoint";
  verdict.document["damages"] = report->damages;
  verdict.document["warnings"] = report->warnings;
  verdict.document["data_read"] = checking.data;
  verdict.document["summary"] = summary_json(*report);
  return verdict;
}

}  // namespace cenote::cli
