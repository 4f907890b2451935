#include "store_findings.h"

#include "cenote/base/bytes.h"
#include "cenote/base/format.h"

namespace cenote::cli {

const char* severity_name(store::Severity severity) {
  return severity == store::Severity::kWarning ? "warning" : "damage";
}

std::string place_text(const store::Finding& finding) {
  std::string text;
  if (finding.block && finding.blocks > 1) {
    text = fmt::format("blocks {}-{}", *finding.block, *finding.block + finding.blocks - 1);
  } else if (finding.block) {
    text = fmt::format("block {}", *finding.block);
  }
  if (finding.page) text += fmt::format("{}page {}", text.empty() ? "" : ", ", *finding.page);
  const std::string tree = printable(as_bytes(finding.tree_name), store::kMaxTreeNameBytes);
  if (!tree.empty()) text += fmt::format("{}{}", text.empty() ? "" : finding.page ? " of " : ", ", tree);
  return text;
}

Json to_json(const object::TargetFinding& found) {
  const store::Finding& finding = found.finding;
  Json json = {{"severity", severity_name(finding.severity)},
               {"kind", std::string(finding_name(finding.kind))},
               {"message", finding.message},
               {"device", finding.device}};
  if (finding.block) json["block"] = *finding.block;
  if (finding.block) json["blocks"] = finding.blocks;
  if (finding.page) json["page"] = *finding.page;
  if (finding.tree) json["tree"] = finding.tree->value();
  if (!finding.tree_name.empty()) json["tree_name"] = printable(as_bytes(finding.tree_name), store::kMaxTreeNameBytes);
  if (finding.lost) {
    json["lost_from"] = to_hex(finding.lost->lower);
    if (finding.lost->upper) json["lost_to"] = to_hex(*finding.lost->upper);
  }
  if (found.container) json["container"] = found.container->to_string();
  if (found.object) json["object"] = found.object->to_string();
  if (found.dkey) json["dkey"] = *found.dkey;
  if (found.akey) json["akey"] = *found.akey;
  if (found.epoch) json["epoch"] = found.epoch->value();
  if (found.first) json["first"] = *found.first;
  if (found.records) json["records"] = *found.records;
  return json;
}

void StoreFindings::add(const object::TargetFinding& found) {
  if (++count_ > most_) return;
  progress_.finish();
  const std::string place = place_text(found.finding);
  out_.line(fmt::format("  {:7}  {}{}: {}", severity_name(found.finding.severity), finding_name(found.finding.kind),
                        place.empty() ? "" : " (" + place + ")", found.finding.message));
  listed_.push_back(to_json(found));
}

}  // namespace cenote::cli
