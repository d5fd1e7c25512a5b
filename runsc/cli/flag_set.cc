#include "runsc/cli/flag_set.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace runsc::cli {

HostOr<bool> ParseBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return TextError("not a boolean: \"%.*s\" (use true or false)", static_cast<int>(text.size()),
                   text.data());
}

HostOr<int64_t> ParseInt(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  long long value = std::strtoll(text.c_str(), &end, 0);
  if (text.empty() || *end != '\0' || errno != 0) {
    return TextError("not a number: \"%s\"", text.c_str());
  }
  return int64_t{value};
}

void FlagSet::Add(std::string name, bool* value, const char* help) {
  AddCustom(std::move(name), true, *value ? "true" : "", help,
            [value](const std::string& text) -> HostStatus {
              *value = TRY(ParseBool(text));
              return HostOk();
            });
}

void FlagSet::Add(std::string name, int64_t* value, const char* help) {
  AddCustom(std::move(name), false, std::to_string(*value), help,
            [value](const std::string& text) -> HostStatus {
              *value = TRY(ParseInt(text));
              return HostOk();
            });
}

void FlagSet::Add(std::string name, std::string* value, const char* help) {
  AddCustom(std::move(name), false, *value, help, [value](const std::string& text) -> HostStatus {
    *value = text;
    return HostOk();
  });
}

void FlagSet::Add(std::string name, std::vector<std::string>* values, const char* help) {
  AddCustom(std::move(name), false, "", help, [values](const std::string& text) -> HostStatus {
    values->push_back(text);
    return HostOk();
  });
}

void FlagSet::AddCustom(std::string name, bool is_bool, std::string default_text, const char* help,
                        std::function<HostStatus(const std::string&)> set) {
  entries_.push_back({std::move(name), is_bool, std::move(default_text), help, std::move(set)});
}

void FlagSet::AddLater(std::string name, bool is_bool, std::string unset, const char* help) {
  AddCustom(std::move(name), is_bool, "", help, [unset](const std::string& text) -> HostStatus {
    if (text == unset) return HostOk();
    return TextError("not supported by this release of runsc; leave it out");
  });
}

const FlagSet::Entry* FlagSet::Find(std::string_view name) const {
  for (const Entry& e : entries_) {
    if (e.name == name) return &e;
  }
  return nullptr;
}

HostStatus FlagSet::Parse(std::vector<std::string>& args) const {
  size_t at = 0;
  HostStatus status;
  while (status.ok() && at < args.size()) {
    const std::string& word = args[at];
    if (word.size() < 2 || word[0] != '-') break;
    ++at;
    if (word == "--") break;
    size_t start = word[1] == '-' ? 2 : 1;
    size_t equals = word.find('=', start);
    std::string name = word.substr(start, equals - start);
    const Entry* entry = Find(name);
    if (entry == nullptr && (name == "help" || name == "h")) {
      help_wanted_ = true;
      continue;
    }
    if (entry == nullptr) {
      status = TextError("flag provided but not defined: -%s", name.c_str());
    } else if (equals != std::string::npos) {
      status = entry->set(word.substr(equals + 1));
    } else if (entry->is_bool) {
      status = entry->set("true");
    } else if (at < args.size()) {
      status = entry->set(args[at++]);
    } else {
      status = TextError("flag needs an argument: -%s", name.c_str());
    }
    if (!status.ok() && entry != nullptr && at > 0) {
      status = HostError{"--" + name + ": " + status.error().text, status.error().code};
    }
  }
  args.erase(args.begin(), args.begin() + static_cast<ptrdiff_t>(at));
  return status;
}

std::string FlagSet::Help() const {
  std::vector<const Entry*> sorted;
  for (const Entry& e : entries_) sorted.push_back(&e);
  std::sort(sorted.begin(), sorted.end(),
            [](const Entry* a, const Entry* b) { return a->name < b->name; });
  std::string out;
  for (const Entry* e : sorted) {
    out += "  -" + e->name + (e->is_bool ? "" : " value") + "\n    \t" + e->help;
    if (!e->default_text.empty()) out += " (default " + e->default_text + ")";
    out += "\n";
  }
  return out;
}

}  // namespace runsc::cli
