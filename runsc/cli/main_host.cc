#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "platform/host/file.h"
#include "runsc/cli/command.h"
#include "runsc/cli/help.h"
#include "runsc/container/launch.h"
#include "runsc/sandbox/sandbox.h"

namespace runsc::cli {
namespace {

LogFormat FormatOf(const std::string& name) {
  return name == "json"       ? LogFormat::kJson
         : name == "json-k8s" ? LogFormat::kJsonK8s
                              : LogFormat::kText;
}

// Appends the error to --log, where engines look for it.
void LogForEngine(const Flags& flags, const std::string& text) {
  if (flags.log.empty()) return;
  HostOr<Fd> fd = host::OpenAt(AT_FDCWD, flags.log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (!fd.ok()) return;
  LogErrorTo(fd->get(), FormatOf(flags.log_format), text.c_str());
}

// Engines read nothing but this log, so it must not fail later.
HostStatus CheckEngineLog(const Flags& flags) {
  if (flags.log.empty()) return HostOk();
  HostOr<Fd> fd = host::OpenAt(AT_FDCWD, flags.log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  return fd.ok() ? HostOk() : HostStatus(HostError{"--log: " + fd.error().text, fd.error().code});
}

// stdin, stdout and stderr must exist, or the first files opened would take their places. What
// stands in for a closed one answers EBADF to the guest, as the closed one would.
void FillStandardFds() {
  for (int fd = 0; fd < 3; ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      int null = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
      (void)null;
    }
  }
}

bool HasWord(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

void Replace(std::string& text, const char* what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, std::strlen(what), with);
    at += with.size();
  }
}

std::string Timestamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  localtime_r(&now.tv_sec, &parts);
  return StrPrintf("%04d%02d%02d-%02d%02d%02d.%06ld", parts.tm_year + 1900, parts.tm_mon + 1,
                   parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1000);
}

// The container that a command is about: the first word after its flags.
std::string IdOf(const CommandRow& row, const std::vector<std::string>& args) {
  bool named = row.category == Category::kOci && std::strcmp(row.name, "spec") != 0;
  return named && !args.empty() ? args[0] : "";
}

// False: a log is asked for but cannot be opened, which was reported.
bool SetupLog(const Flags& flags, const char* command, const std::string& id) {
  Fd log = OpenDebugLog(flags, command, id);
  if (!log.ok()) {
    return flags.debug_log.empty() ||
           !(flags.debug_command.empty() || HasWord(flags.debug_command, command));
  }
  LogSetup(log.Release(), flags.debug ? LogLevel::kDebug : LogLevel::kInfo,
           FormatOf(flags.debug_log_format));
  container::LogPhase("flags");
  return true;
}

int RunCommand(const CommandRow& row, const Flags& flags, std::vector<std::string> args) {
  std::unique_ptr<Command> command = row.make();
  FlagSet set;
  command->Declare(set);
  HostStatus parsed = set.Parse(args);
  if (!parsed.ok()) {
    ReportError(flags, std::string(row.name) + ": " + parsed.error().text + "; see \"runsc help " +
                           row.name + "\"");
    return kExitUsage;
  }
  if (set.help_wanted()) return PrintHelp(row.name) ? 0 : kExitInternal;
  bool internal = row.category == Category::kInternal;
  if (!internal && !SetupLog(flags, row.name, IdOf(row, args))) return kExitInternal;
  HostOr<int> status = command->Run(flags, args);
  // Who reads the answer must not take half of it for all.
  bool lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (status.ok() && lost) status = SysError("cannot write to stdout");
  if (status.ok()) return *status;
  LOG_WARNING("%s fails: %s", row.name, status.error().text.c_str());
  ReportError(flags, status.error().text);
  return status.error().text.rfind("usage: ", 0) == 0 ? kExitUsage : kExitInternal;
}

int Main(std::vector<std::string> args) {
  FillStandardFds();
  Flags flags;
  bool version = false;
  FlagSet set;
  AddGlobalFlags(set, &flags);
  set.Add("version", &version, "show the version and exit");
  HostStatus parsed = set.Parse(args);
  if (parsed.ok()) parsed = ParseOverlay(flags.overlay2).status();
  if (!parsed.ok()) {
    ReportError(flags, parsed.error().text + "; see \"runsc flags\"");
    bool undefined = parsed.error().text.rfind("flag ", 0) == 0;
    return undefined ? kExitUsage : kExitInternal;
  }
  if (version) return PrintVersion();
  if (args.empty() || set.help_wanted()) {
    PrintHelp("");
    return set.help_wanted() ? 0 : kExitInternal;
  }
  std::string name = args[0];
  args.erase(args.begin());
  const CommandRow* row = FindCommand(name);
  if (row == nullptr || row->make == nullptr) {
    ReportError(flags, row == nullptr
                           ? "unknown command \"" + name + "\"; see \"runsc help\""
                           : "the command " + name + " is not supported by this release");
    return kExitInternal;
  }
  FinishGlobalFlags(&flags);
  if (HostStatus log = CheckEngineLog(flags); !log.ok()) {
    ReportError(flags, log.error().text);
    return kExitInternal;
  }
  if (row->category == Category::kInternal) {
    // The process was given its log as a descriptor.
    if (!flags.debug_log.empty()) {
      LogSetup(sandbox::kLogFd, flags.debug ? LogLevel::kDebug : LogLevel::kInfo,
               FormatOf(flags.debug_log_format));
    }
  }
  return RunCommand(*row, flags, std::move(args));
}

}  // namespace

std::string Printable(std::string text) {
  for (char& c : text) {
    bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (control) c = c == '\n' ? ' ' : '?';
  }
  return text;
}

void ReportError(const Flags& flags, const std::string& text) {
  std::string line = "runsc: " + Printable(text) + "\n";
  (void)host::WriteAll(STDERR_FILENO, line);
  LogForEngine(flags, text);
}

Fd OpenDebugLog(const Flags& flags, const char* command, const std::string& id) {
  if (!flags.debug_command.empty() && !HasWord(flags.debug_command, command)) return Fd();
  if (flags.debug_log.empty()) {
    bool wanted = flags.debug && flags.alsologtostderr;
    return Fd(wanted ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1);
  }
  // Not checked yet: it names one file, not a way to others.
  std::string name = id;
  std::replace(name.begin(), name.end(), '/', '_');
  std::string path = flags.debug_log;
  if (path.back() == '/') path += "runsc.log.%TIMESTAMP%.%COMMAND%.txt";
  Replace(path, "%TIMESTAMP%", Timestamp());
  Replace(path, "%COMMAND%", command);
  Replace(path, "%ID%", name);
  Replace(path, "%CID%", name);
  // Directories are made, but none in the root: that is a mistyped path.
  size_t slash = path.rfind('/');
  std::string top = path.substr(0, path.find('/', 1));
  HostStatus made = HostOk();
  if (slash != std::string::npos && slash > 0 && access(top.c_str(), F_OK) == 0) {
    made = host::MakeDirs(path.substr(0, slash), 0755);
  }
  HostOr<Fd> fd = host::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd.ok()) return std::move(*fd);
  ReportError(flags, "no debug log: " + (made.ok() ? fd.error() : made.error()).text);
  return Fd();
}

HostOr<std::string> AbsolutePath(const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  char* cwd = getcwd(nullptr, 0);
  if (cwd == nullptr) return SysError("cannot tell the current directory");
  std::string out = cwd;
  free(cwd);
  if (out[0] != '/') return TextError("the current directory cannot be reached by a path");
  return path.empty() || path == "." ? out : out + "/" + path;
}

}  // namespace runsc::cli

int main(int argc, char** argv) {
  // One heap: less memory a sandbox, and glibc's other arenas read a /proc file when they shrink,
  // which the sentry's filter refuses.
  mallopt(M_ARENA_MAX, 1);
  return runsc::cli::Main(std::vector<std::string>(argv + 1, argv + argc));
}
