#include "damage_listing.h"

#include <ctime>

#include "cenote/base/format.h"

namespace cenote::cli {
namespace {

std::string place_of(const DamageInfo& damage) {
  std::string text = fmt::format("target {}", damage.target);
  if (damage.block && damage.blocks.value_or(1) > 1) {
    text += fmt::format(", blocks {}-{}", *damage.block, *damage.block + *damage.blocks - 1);
  } else if (damage.block) {
    text += fmt::format(", block {}", *damage.block);
  }
  if (!damage.device.empty()) text += " of " + damage.device;
  return text;
}

}  // namespace

std::string local_time_text(std::uint64_t seconds) {
  if (seconds == 0) return "never";
  const auto time = static_cast<std::time_t>(seconds);
  std::tm broken_down{};
  localtime_r(&time, &broken_down);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &broken_down)};
}

void show_damages(const Output& out, const std::vector<DamageInfo>& damages, std::uint64_t omitted) {
  for (const DamageInfo& damage : damages) {
    out.line(fmt::format("{} {} ({})", damage.repaired ? "repaired" : "damaged", damage.kind, place_of(damage)));
    if (damage.container) out.line(fmt::format("  container   {}", damage.container->to_string()));
    out.line("  what        " + damage.message);
    if (damage.found_s) {
      out.line(fmt::format("  found       {}, last by the pass of {}", local_time_text(*damage.found_s),
                           local_time_text(damage.seen_s.value_or(0))));
    }
    out.line("  what to do  " + damage.advice);
  }
  if (omitted > 0) out.line(fmt::format("and {} more, not listed", omitted));
}

}  // namespace cenote::cli
