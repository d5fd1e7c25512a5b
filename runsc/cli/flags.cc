#include "runsc/cli/flags.h"

#include <cstdlib>
#include <string_view>

namespace runsc::cli {
namespace {

enum class Override { Never, Annotation };

struct Row {
  const char* name;
  const char* choices;
  Override override;
  std::string_view support;
  const char* help;
};

#define FLAG(kind, field, name, def, choices, override, support, help) \
  {name, choices, Override::override, support, help},
constexpr Row kRows[] = {
#include "runsc/cli/flags.def"
};
#undef FLAG

bool HasWord(std::string_view words, std::string_view word) {
  while (true) {
    size_t bar = words.find('|');
    if (words.substr(0, bar) == word) return true;
    if (bar == std::string_view::npos) return false;
    words.remove_prefix(bar + 1);
  }
}

HostError NotYet(const Row& row, const std::string& text) {
  return TextError("%s is not supported by this release of runsc; leave --%s out%s", text.c_str(),
                   row.name, row.support == "Later" ? "" : " or use another value");
}

std::string Text(bool v) { return v ? "true" : "false"; }
std::string Text(int64_t v) { return std::to_string(v); }
std::string Text(const std::string& v) { return v; }
HostOr<bool> Convert(const std::string& text, bool*) { return ParseBool(text); }
HostOr<int64_t> Convert(const std::string& text, int64_t*) { return ParseInt(text); }
HostOr<std::string> Convert(const std::string& text, std::string*) { return text; }

HostStatus CheckWords(const Row& row, const std::string& text) {
  std::string_view choices = row.choices;
  if (!choices.empty() && !HasWord(choices, text)) {
    return TextError("unknown %s \"%s\"; it must be one of %s", row.name, text.c_str(),
                     row.support == "Ready" || row.support == "Later"
                         ? row.choices
                         : std::string(row.support).c_str());
  }
  if (row.support != "Ready" && row.support != "Later" && !HasWord(row.support, text)) {
    return NotYet(row, row.name + std::string(" ") + text);
  }
  return HostOk();
}

template <typename T>
void AddRow(FlagSet& set, const Row& row, T* value) {
  set.AddCustom(row.name, std::is_same_v<T, bool>, *value == T() ? "" : Text(*value), row.help,
                [&row, value](const std::string& text) -> HostStatus {
                  T parsed = TRY(Convert(text, value));
                  TRY(CheckWords(row, text));
                  if (row.support == "Later" && parsed != *value) {
                    return NotYet(row, "the value \"" + text + "\"");
                  }
                  *value = parsed;
                  return HostOk();
                });
}

HostStatus CheckOverlayAnnotation(const std::string& value) {
  OverlayChoice choice = TRY(ParseOverlay(value));
  if (choice.medium.empty() || choice.medium == "memory" || choice.medium == "self") {
    return HostOk();
  }
  return TextError("an annotation may only choose the overlay2 media memory and self");
}

const Row* FindRow(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace

void AddGlobalFlags(FlagSet& set, Flags* flags) {
  size_t row = 0;
#define FLAG(kind, field, ...) AddRow(set, kRows[row++], &flags->field);
#include "runsc/cli/flags.def"
#undef FLAG
}

void FinishGlobalFlags(Flags* flags) {
  if (!flags->root.empty()) return;
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  flags->root = runtime_dir != nullptr && *runtime_dir != '\0' ? std::string(runtime_dir) + "/runsc"
                                                               : "/var/run/runsc";
}

HostStatus ApplyAnnotations(const std::map<std::string, std::string>& annotations, Flags* flags) {
  constexpr std::string_view kPrefix = "dev.gvisor.flag.";
  FlagSet set;
  AddGlobalFlags(set, flags);
  for (auto it = annotations.lower_bound(std::string(kPrefix)); it != annotations.end(); ++it) {
    if (it->first.compare(0, kPrefix.size(), kPrefix) != 0) break;
    std::string name = it->first.substr(kPrefix.size());
    const Row* row = FindRow(name);
    if (row == nullptr) return TextError("annotation %s: no such flag", it->first.c_str());
    if (!flags->allow_flag_override && row->override == Override::Never) {
      return TextError("annotation %s: this flag may only be set with --allow-flag-override",
                       it->first.c_str());
    }
    if (!flags->allow_flag_override && name == "overlay2") {
      TRY(CheckOverlayAnnotation(it->second));
    }
    std::vector<std::string> args = {"--" + name + "=" + it->second};
    HostStatus parsed = set.Parse(args);
    if (!parsed.ok())
      return TextError("annotation %s: %s", it->first.c_str(), parsed.error().text.c_str());
  }
  return HostOk();
}

std::vector<std::string> ToArguments(const Flags& flags) {
  const Flags defaults;
  std::vector<std::string> out;
#define FLAG(kind, field, name, ...) \
  if (flags.field != defaults.field) out.push_back("--" name "=" + Text(flags.field));
#include "runsc/cli/flags.def"
#undef FLAG
  return out;
}

HostOr<OverlayChoice> ParseOverlay(const std::string& text) {
  OverlayChoice out;
  if (text == "none" || text.empty()) return out;
  size_t colon = text.find(':');
  size_t comma = text.find(',');
  std::string where = text.substr(0, colon);
  HostError bad = TextError(
      "overlay2 \"%s\" is neither none nor {root|all}:{memory|self|dir=PATH}[,size=BYTES]",
      text.c_str());
  if (colon == std::string::npos || (where != "root" && where != "all")) return bad;
  out.root = true;
  out.mounts = where == "all";
  std::string medium =
      text.substr(colon + 1, comma == std::string::npos ? comma : comma - colon - 1);
  if (medium.rfind("dir=/", 0) == 0) medium = medium.substr(4);
  if (medium != "memory" && medium != "self" && medium[0] != '/') return bad;
  out.medium = medium;
  if (comma == std::string::npos) return out;
  std::string size = text.substr(comma + 1);
  if (size.rfind("size=", 0) != 0) return bad;
  size = size.substr(5);
  uint64_t unit = 1;
  if (!size.empty()) {
    char last = static_cast<char>(size.back() | 0x20);
    unit = last == 'k' ? 1u << 10 : last == 'm' ? 1u << 20 : last == 'g' ? 1u << 30 : 1;
    if (unit != 1) size.pop_back();
  }
  HostOr<int64_t> number = ParseInt(size);
  if (!number.ok() || *number <= 0 || __builtin_mul_overflow(*number, unit, &out.bytes)) return bad;
  return out;
}

}  // namespace runsc::cli
