#ifndef SENTRY_LOADER_SCRIPT_H_
#define SENTRY_LOADER_SCRIPT_H_

#include <optional>
#include <span>
#include <string>

namespace runsc {

// What the first line of a #! script says.
struct ScriptLine {
  std::string interpreter;
  std::optional<std::string> argument;  // the rest of the line, one argument
};

// Reads the first 256 bytes of a file (zeros after its end) by Linux's rules (binfmt_script):
// nullopt if it is no script, names nothing, or the interpreter's name may be cut off.
std::optional<ScriptLine> ParseScript(std::span<const char> head);

}  // namespace runsc

#endif  // SENTRY_LOADER_SCRIPT_H_
