#ifndef RUNSC_CLI_FLAG_SET_H_
#define RUNSC_CLI_FLAG_SET_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/host/error.h"

namespace runsc::cli {

// Flags of a command, parsed as Go's flag package does, because that is what people and engines
// type: --name=value, --name value, -name; a boolean takes a value only after '='. Parsing stops at
// the first word that is no flag, or after "--".
class FlagSet {
 public:
  void Add(std::string name, bool* value, const char* help);
  void Add(std::string name, int64_t* value, const char* help);
  void Add(std::string name, std::string* value, const char* help);
  // May be given more than once.
  void Add(std::string name, std::vector<std::string>* values, const char* help);
  // `set` answers whether it takes the text.
  void AddCustom(std::string name, bool is_bool, std::string default_text, const char* help,
                 std::function<HostStatus(const std::string&)> set);

  // One that gVisor has and this release has not: only `unset`, its value there, is taken.
  void AddLater(std::string name, bool is_bool, std::string unset, const char* help);

  // Takes flags off the front of `args`.
  HostStatus Parse(std::vector<std::string>& args) const;
  // Whether Parse met the flag "help" or "h", which it never refuses.
  bool help_wanted() const { return help_wanted_; }
  // One paragraph a flag.
  std::string Help() const;

 private:
  struct Entry {
    std::string name;
    bool is_bool;
    std::string default_text;
    const char* help;
    std::function<HostStatus(const std::string&)> set;
  };
  const Entry* Find(std::string_view name) const;

  std::vector<Entry> entries_;
  mutable bool help_wanted_ = false;
};

// As strconv.ParseBool.
HostOr<bool> ParseBool(std::string_view text);
// Decimal, 0x…, 0… (octal); the whole text.
HostOr<int64_t> ParseInt(const std::string& text);

}  // namespace runsc::cli

#endif  // RUNSC_CLI_FLAG_SET_H_
