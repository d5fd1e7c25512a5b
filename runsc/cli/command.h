#ifndef RUNSC_CLI_COMMAND_H_
#define RUNSC_CLI_COMMAND_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "runsc/cli/flag_set.h"
#include "runsc/cli/flags.h"

namespace runsc::cli {

// Exit statuses of runsc itself. 126 and 127 are a shell's; 128 is gVisor's for any failure of the
// runtime, 2 its (and Go's) for unknown flags.
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;
inline constexpr int kExitInternal = 128;

// One word of the command line: "create", "do", …
class Command {
 public:
  virtual ~Command() = default;
  // What follows the flags: "<container id>".
  virtual const char* arguments() const = 0;
  virtual void Declare(FlagSet& set) = 0;
  // `args`: what is left after the flags. Answers the exit status; an error is reported and exits
  // by its code (see ExitStatusFor).
  virtual HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) = 0;
};

enum class Category { kOci, kOther, kDebug, kHelper, kInternal, kTopic };

struct CommandRow {
  const char* name;
  Category category;
  const char* synopsis;
  std::unique_ptr<Command> (*make)();  // null: known, but not in this release
};

// The table of all commands, and a row of it (null if there is no such word).
const std::vector<CommandRow>& Commands();
const CommandRow* FindCommand(std::string_view name);

// An error for too few or many arguments, with the command's usage.
HostStatus WantArguments(const std::vector<std::string>& args, size_t least, size_t most,
                         const char* usage);
// Exit status for an error of a program's start: not found 127, not executable 126, else 128.
int ExitStatusFor(const HostError& error);
// `text` without control characters, for a person's terminal: names in it may be a guest's.
std::string Printable(std::string text);
// One line on stderr, and one in --log where engines look for it.
void ReportError(const Flags& flags, const std::string& text);
// Opens the debug log for a process of command `command` by --debug, --debug-log and
// --debug-command; no descriptor if it is not wanted.
Fd OpenDebugLog(const Flags& flags, const char* command, const std::string& id);
// Absolute form of a path.
HostOr<std::string> AbsolutePath(const std::string& path);

std::unique_ptr<Command> NewCreate();
std::unique_ptr<Command> NewDelete();
std::unique_ptr<Command> NewDo();
std::unique_ptr<Command> NewExec();
std::unique_ptr<Command> NewFlags();
std::unique_ptr<Command> NewHelp();
std::unique_ptr<Command> NewKill();
std::unique_ptr<Command> NewList();
std::unique_ptr<Command> NewPs();
std::unique_ptr<Command> NewRun();
std::unique_ptr<Command> NewSpec();
std::unique_ptr<Command> NewStart();
std::unique_ptr<Command> NewState();
std::unique_ptr<Command> NewWait();
// The processes that runsc starts of itself; runsc/boot and gofer/server do the work.
std::unique_ptr<Command> NewBoot();
std::unique_ptr<Command> NewGofer();

}  // namespace runsc::cli

#endif  // RUNSC_CLI_COMMAND_H_
