#include "sentry/loader/script.h"

#include <algorithm>

namespace runsc {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool Ends(char c) { return IsBlank(c) || c == '\0'; }

// As a C string: up to the first NUL.
std::string CString(const char* first, const char* last) {
  return {first, std::find(first, last, '\0')};
}

}  // namespace

std::optional<ScriptLine> ParseScript(std::span<const char> head) {
  if (head.size() < 4 || head[0] != '#' || head[1] != '!') return std::nullopt;
  const char* const begin = head.data() + 2;
  const char* const last = head.data() + head.size() - 1;  // always taken as the end
  const char* end = std::find(begin, last + 1, '\n');
  if (end == last + 1) {
    // No end of line: the name is whole only if something ends it.
    const char* name = std::find_if_not(begin, last + 1, IsBlank);
    if (name == last + 1) return std::nullopt;
    if (std::find_if(name, last + 1, Ends) == last + 1) return std::nullopt;
    end = last;
  }
  while (end > begin && IsBlank(end[-1])) --end;
  const char* const name = std::find_if_not(begin, end, IsBlank);
  if (name == end) return std::nullopt;
  const char* const name_end = std::find_if(name, end, Ends);
  ScriptLine line;
  line.interpreter.assign(name, name_end);
  if (name_end != end && *name_end != '\0') {
    const char* argument = std::find_if_not(name_end, end, IsBlank);
    if (argument != end) line.argument = CString(argument, end);
  }
  return line;
}

}  // namespace runsc
