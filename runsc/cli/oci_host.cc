// The OCI commands that only look at or signal a container: start, state, kill, delete, list, ps,
// wait, spec.
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "platform/host/file.h"
#include "runsc/cli/command.h"
#include "runsc/container/container.h"

namespace runsc::cli {
namespace {

using container::Container;
using container::State;
using container::Status;
using control::SignalTarget;

// "9", "KILL", "SIGKILL", "RTMIN+3".
HostOr<int> ParseSignal(const std::string& text) {
  HostOr<int64_t> number = ParseInt(text);
  if (number.ok() && *number >= 0 && *number <= 64) return static_cast<int>(*number);
  std::string name = text;
  for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  if (name.rfind("SIG", 0) == 0) name.erase(0, 3);
  for (int s = 1; s < 32; ++s) {
    const char* known = sigabbrev_np(s);
    if (known != nullptr && name == known) return s;
  }
  // The guest's real-time signals start at 34 as its C library sees them.
  if (name.rfind("RTMIN", 0) == 0 && name.size() <= 8) {
    HostOr<int64_t> offset =
        name.size() > 6 ? ParseInt(name.substr(6)) : HostOr<int64_t>(int64_t{0});
    if (offset.ok() && *offset >= 0 && 34 + *offset <= 64) return static_cast<int>(34 + *offset);
  }
  return TextError("unknown signal \"%s\"", text.c_str());
}

class StartCommand : public Command {
 public:
  const char* arguments() const override { return "<container id>"; }
  void Declare(FlagSet&) override {}
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 1, "start <container id>"));
    Container c = TRY(Container::Open(flags.root, args[0], true));
    TRY(c.Start());
    return 0;
  }
};

class StateCommand : public Command {
 public:
  const char* arguments() const override { return "<container id>"; }
  void Declare(FlagSet&) override {}
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 1, "state <container id>"));
    Container c = TRY(Container::Open(flags.root, args[0], false));
    std::puts(container::OciState(c.state(), true).c_str());
    return 0;
  }
};

class KillCommand : public Command {
 public:
  const char* arguments() const override { return "<container id> [signal]"; }
  void Declare(FlagSet& set) override {
    set.Add("all", &all_, "signal every process in the container");
    set.Add("pid", &pid_, "signal this process of the sandbox only");
    set.Add("pgid", &pgid_, "signal this process group of the sandbox only");
  }
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 2, "kill [flags] <container id> [signal]"));
    control::SignalRequest request{args[0], SignalTarget::kInit, 0, SIGTERM};
    if (args.size() == 2) request.signal = TRY(ParseSignal(args[1]));
    if (all_) request.target = SignalTarget::kAll;
    if (pid_ != 0) request.target = SignalTarget::kPid;
    if (pgid_ != 0) request.target = SignalTarget::kGroup;
    if (int{all_} + int{pid_ != 0} + int{pgid_ != 0} > 1) {
      return TextError("only one of --all, --pid and --pgid may be given");
    }
    request.pid = static_cast<int32_t>(pid_ != 0 ? pid_ : pgid_);
    Container c = TRY(Container::Open(flags.root, args[0], false));
    // Engines sweep with --all after the end; there is nothing left to signal then.
    if (all_ && c.state().status == Status::kStopped) return 0;
    TRY(c.Signal(request));
    return 0;
  }

 private:
  bool all_ = false;
  int64_t pid_ = 0, pgid_ = 0;
};

class DeleteCommand : public Command {
 public:
  const char* arguments() const override { return "<container id>..."; }
  void Declare(FlagSet& set) override {
    set.Add("force", &force_, "kill the container first if it still runs");
    set.Add("f", &force_, "as --force");
  }
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 1000, "delete [--force] <container id>..."));
    for (const std::string& id : args) TRY(One(flags, id));
    return 0;
  }

 private:
  HostStatus One(const Flags& flags, const std::string& id) {
    HostOr<Container> c = Container::Open(flags.root, id, true);
    if (!c.ok() && c.error().code == ENOENT && force_) return HostOk();
    if (!c.ok() && c.error().code == EBADMSG && force_) return Container::Discard(flags.root, id);
    if (!c.ok()) return c.error();
    return c->Delete(force_);
  }
  bool force_ = false;
};

class ListCommand : public Command {
 public:
  const char* arguments() const override { return ""; }
  void Declare(FlagSet& set) override {
    set.Add("quiet", &quiet_, "only ids");
    set.Add("q", &quiet_, "as --quiet");
    set.Add("format", &format_, "text or json");
    set.Add("f", &format_, "as --format");
    set.Add("sandbox", &sandbox_, "one row a sandbox");
  }
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 0, 0, "list [flags]"));
    container::Store store(flags.root);
    std::vector<State> states;
    for (const std::string& id : TRY(store.List())) {
      HostOr<Container> c = Container::Open(flags.root, id, false);
      if (c.ok()) states.push_back(c->state());
      // Deleted meanwhile, or never a container: nothing to say.
      if (c.ok() || c.error().code == ENOENT) continue;
      State damaged;
      damaged.id = id;
      if (quiet_)
        states.push_back(std::move(damaged));
      else
        ReportError(flags, "container " + id + ": " + c.error().text);
    }
    if (format_ == "json") {
      std::puts(container::OciStates(states).c_str());
    } else if (format_ != "text") {
      return TextError("unknown format \"%s\"; use text or json", format_.c_str());
    } else {
      Print(states);
    }
    return 0;
  }

 private:
  void Print(const std::vector<State>& states) const {
    if (!quiet_) {
      std::printf("%-20s %-10s %-10s %-30s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED",
                  "OWNER");
    }
    for (const State& s : states) {
      if (quiet_) {
        std::puts(s.id.c_str());
        continue;
      }
      std::printf("%-20s %-10d %-10s %-30s %-32s %s\n", s.id.c_str(),
                  s.status == Status::kStopped ? 0 : s.sandbox.pid, StatusName(s.status),
                  s.bundle.c_str(), s.created.c_str(), s.owner.c_str());
    }
  }
  bool quiet_ = false, sandbox_ = false;
  std::string format_ = "text";
};

class PsCommand : public Command {
 public:
  const char* arguments() const override { return "<container id>"; }
  void Declare(FlagSet& set) override {
    set.Add("format", &format_, "table or json");
    set.Add("f", &format_, "as --format");
  }
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 1000, "ps [--format=table|json] <container id>"));
    if (format_ != "table" && format_ != "json") {
      return TextError("unknown format \"%s\"; use table or json", format_.c_str());
    }
    Container c = TRY(Container::Open(flags.root, args[0], false));
    control::Client client = TRY(c.Connect());
    control::ProcessesReply reply = TRY(client.Processes({args[0]}));
    format_ == "json" ? PrintPids(reply) : PrintTable(reply);
    return 0;
  }

 private:
  static void PrintPids(const control::ProcessesReply& reply) {
    std::string out;
    for (const control::ProcessRow& row : reply.rows) {
      out += (out.empty() ? "" : ",") + std::to_string(row.pid);
    }
    std::printf("[%s]\n", out.c_str());
  }
  static void PrintTable(const control::ProcessesReply& reply) {
    std::printf("%-9s %-9s %-9s %-7s %-9s %-9s %s\n", "UID", "PID", "PPID", "THREADS", "STIME",
                "TIME", "CMD");
    for (const control::ProcessRow& row : reply.rows) {
      time_t start = static_cast<time_t>(row.start_seconds);
      tm parts{};
      localtime_r(&start, &parts);
      std::printf(
          "%-9d %-9d %-9d %-7d %02d:%02d     %-9s %s\n", row.uid, row.pid, row.ppid, row.threads,
          parts.tm_hour, parts.tm_min,
          StrPrintf("%llums", static_cast<unsigned long long>(row.cpu_nanos / 1000000)).c_str(),
          Printable(row.command).c_str());
    }
  }
  std::string format_ = "table";
};

class WaitCommand : public Command {
 public:
  const char* arguments() const override { return "<container id>"; }
  void Declare(FlagSet& set) override {
    set.Add("rootpid", &pid_, "wait for this process of the sandbox");
    set.Add("pid", &pid_, "wait for this process of the container");
    for (const char* what : {"checkpoint", "restore", "fscheckpoint", "fsrestore"}) {
      set.AddLater(what, true, "false", "wait for that to finish (not in this release)");
    }
  }
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 1, "wait [flags] <container id>"));
    Container c = TRY(Container::Open(flags.root, args[0], false));
    int status = 0;
    if (pid_ == 0) {
      status = TRY(c.WaitExit());
    } else {
      control::Client client = TRY(c.Connect());
      status = TRY(client.Wait({args[0], static_cast<int32_t>(pid_)})).status;
    }
    std::printf("{\"id\":\"%s\",\"exitStatus\":%d}\n", args[0].c_str(), status);
    return 0;
  }

 private:
  int64_t pid_ = 0;
};

class SpecCommand : public Command {
 public:
  const char* arguments() const override { return "[-- program arguments...]"; }
  void Declare(FlagSet& set) override {
    set.Add("bundle", &bundle_, "directory to write config.json into");
    set.Add("cwd", &cwd_, "working directory of the program");
    set.Add("netns", &netns_, "path of the network namespace");
    set.AddLater("tpu", true, "false", "access to TPU devices (not in this release)");
  }
  HostOr<int> Run(const Flags&, const std::vector<std::string>& args) override {
    std::string path = bundle_ + "/config.json";
    HostOr<Fd> fd = host::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (!fd.ok() && fd.error().code == EEXIST) {
      return TextError("%s exists already; remove it first", path.c_str());
    }
    if (!fd.ok()) return fd.error();
    std::vector<std::string> program = args.empty() ? std::vector<std::string>{"sh"} : args;
    TRY(host::WriteAll(fd->get(), spec::TemplateSpec(cwd_, netns_, program)));
    return 0;
  }

 private:
  std::string bundle_ = ".", cwd_ = "/", netns_;
};

}  // namespace

std::unique_ptr<Command> NewStart() { return std::make_unique<StartCommand>(); }
std::unique_ptr<Command> NewState() { return std::make_unique<StateCommand>(); }
std::unique_ptr<Command> NewKill() { return std::make_unique<KillCommand>(); }
std::unique_ptr<Command> NewDelete() { return std::make_unique<DeleteCommand>(); }
std::unique_ptr<Command> NewList() { return std::make_unique<ListCommand>(); }
std::unique_ptr<Command> NewPs() { return std::make_unique<PsCommand>(); }
std::unique_ptr<Command> NewWait() { return std::make_unique<WaitCommand>(); }
std::unique_ptr<Command> NewSpec() { return std::make_unique<SpecCommand>(); }

}  // namespace runsc::cli
