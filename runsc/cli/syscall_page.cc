#include "runsc/cli/syscall_page.h"

#include <nlohmann/json.hpp>
#include <span>

#include "platform/base/strings.h"
#include "syscalls/table/table.h"

namespace runsc::cli {
namespace {

constexpr const char* kSupport[] = {"full", "partial", "missing"};
// gVisor's words for the same.
constexpr const char* kLongSupport[] = {"Full Support", "Partial Support", "Unimplemented"};

std::span<const SyscallRow> Rows() {
  int count = 0;
  const SyscallRow* rows = SyscallRows(&count);
  return {rows, static_cast<size_t>(count)};
}

const char* Note(const SyscallRow& row) { return row.note == nullptr ? "" : row.note; }

std::string Table() {
  std::string out = StrPrintf("%-5s %-28s %-8s %s\n", "NUM", "NAME", "SUPPORT", "NOTE");
  int by_support[3] = {};
  for (const SyscallRow& row : Rows()) {
    auto support = static_cast<size_t>(row.support);
    ++by_support[support];
    out += StrPrintf("%-5llu %-28s %-8s %s\n", static_cast<unsigned long long>(row.number),
                     row.name, kSupport[support], Note(row));
  }
  return out + StrPrintf("\n%d full, %d partial, %d missing\n", by_support[0], by_support[1],
                         by_support[2]);
}

// RFC 4180.
std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string Csv() {
  std::string out = "OS,Arch,Num,Name,Support,Note\n";
  for (const SyscallRow& row : Rows()) {
    out += StrPrintf("linux,amd64,%llu,%s,%s,", static_cast<unsigned long long>(row.number),
                     row.name, kLongSupport[static_cast<size_t>(row.support)]) +
           Quoted(Note(row)) + "\n";
  }
  return out;
}

std::string Json() {
  nlohmann::ordered_json calls = nlohmann::ordered_json::object();
  for (const SyscallRow& row : Rows()) {
    calls[std::to_string(row.number)] = {
        {"name", row.name},
        {"support", kLongSupport[static_cast<size_t>(row.support)]},
        {"note", Note(row)}};
  }
  nlohmann::ordered_json page = {{"linux", {{"amd64", {{"syscalls", calls}}}}}};
  return page.dump(2) + "\n";
}

}  // namespace

HostOr<std::string> SyscallPage(const std::string& format) {
  if (format == "table") return Table();
  if (format == "csv") return Csv();
  if (format == "json") return Json();
  return TextError("unknown format \"%s\"; use table, csv or json", format.c_str());
}

}  // namespace runsc::cli
