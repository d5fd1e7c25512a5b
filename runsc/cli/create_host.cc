// create, run and do: everything that starts a sandbox.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "platform/base/log.h"
#include "platform/base/random.h"
#include "platform/base/strings.h"
#include "platform/host/file.h"
#include "platform/host/process.h"
#include "platform/host/pty.h"
#include "runsc/cli/command.h"
#include "runsc/container/container.h"

extern char** environ;

namespace runsc::cli {
namespace {

using container::Attachment;
using container::Container;

constexpr size_t kMaxSpec = 16u << 20;

container::LogOpener LogOpenerFor(const Flags& flags) {
  return [&flags](const char* command, const std::string& id) {
    return OpenDebugLog(flags, command, id);
  };
}

// Starts the program of a container that is all set up and waits for its end.
HostOr<int> StartAndWait(control::Client& client, Attachment& attachment, const std::string& id) {
  // Asked before the start: the sandbox ends with the program and may be gone a moment later.
  uint32_t wait =
      TRY(client.Send(control::Type::kWait, control::Encode(control::WaitRequest{id, 0})));
  HostStatus started = client.Start({id});
  container::LogPhase("start");
  if (!started.ok()) return started.error();
  return attachment.Wait(client, wait, id, 0);
}

// Ends what is left of the sandbox; a connection that broke is explained by how it ended.
HostOr<int> EndSandbox(container::Launched& launched, HostOr<int> status) {
  bool broken = !status.ok() && (status.error().code == ECONNRESET || status.error().code == EPIPE);
  if (broken) host::WaitGone(launched.sandbox.process.pidfd, 1000);
  int exit = launched.Kill();
  return broken ? HostOr<int>(container::DeathText(exit)) : status;
}

// A failed start exits as a shell would.
HostOr<int> ReportStart(const Flags& flags, HostOr<int> status) {
  if (status.ok() || status.error().code == 0) return status;
  int exit = ExitStatusFor(status.error());
  if (exit == kExitInternal) return status;
  ReportError(flags, status.error().text);
  return exit;
}

// --- create, run ---

class CreateCommand : public Command {
 public:
  const char* arguments() const override { return "<container id>"; }
  void Declare(FlagSet& set) override {
    set.Add("bundle", &bundle_, "path of the bundle directory (current directory)");
    set.Add("b", &bundle_, "as --bundle");
    set.Add("console-socket", &console_socket_, "socket that gets the terminal's master");
    set.Add("pid-file", &pid_file_, "file to write the sandbox's pid to");
    set.Add("user-log", &user_log_, "file for messages to the user (not written yet)");
    set.Add("no-pivot", &ignored_, "ignored: the root is never on the host");
    set.Add("no-new-keyring", &ignored_, "ignored: there is no host keyring");
    set.AddLater("preserve-fds", false, "0",
                 "extra descriptors for the program (not in this release)");
    set.AddLater("fs-restore-image-path", false, "",
                 "saved files to start with (not in this release)");
    set.AddLater("fs-restore-direct", true, "false",
                 "read those past the cache (not in this release)");
  }
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 1, "create [flags] <container id>"));
    container::CreateOptions options = TRY(Options(flags, args[0]));
    TRY(Container::Create(options));
    return 0;
  }

 protected:
  HostOr<container::CreateOptions> Options(const Flags& flags, const std::string& id) {
    container::CreateOptions options;
    options.flags = flags;
    options.id = id;
    options.bundle = TRY(AbsolutePath(bundle_));
    HostOr<std::string> text = host::ReadFile(AT_FDCWD, options.bundle + "/config.json", kMaxSpec);
    if (!text.ok()) {
      return HostError{"no container bundle: " + text.error().text, 0};
    }
    options.spec = TRY(spec::ParseSpec(*text));
    TRY(ApplyAnnotations(options.spec.annotations, &options.flags));
    options.open_log = LogOpenerFor(flags);
    options.console_socket = console_socket_;
    options.pid_file = pid_file_;
    return options;
  }

  std::string bundle_, console_socket_, pid_file_, user_log_;
  bool ignored_ = false;
};

class RunCommand : public CreateCommand {
 public:
  void Declare(FlagSet& set) override {
    CreateCommand::Declare(set);
    set.Add("detach", &detach_, "do not wait for the container's end");
    set.Add("d", &detach_, "as --detach");
    set.AddLater("pass-fd", false, "",
                 "HOST:GUEST: a descriptor for the program (not in this release)");
    set.AddLater("exec-fd", false, "-1", "descriptor of the program (not in this release)");
  }
  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 1, "run [flags] <container id>"));
    container::CreateOptions options = TRY(Options(flags, args[0]));
    options.attached = !detach_;
    bool terminal = options.spec.process.terminal && console_socket_.empty();
    if (terminal && !host::IsTerminal(STDIN_FILENO)) {
      return TextError(
          "process.terminal is set, but stdin is no terminal and there is no "
          "--console-socket");
    }
    std::unique_ptr<Attachment> attachment;
    if (!detach_) attachment = TRY(Attachment::Create(terminal ? STDIN_FILENO : -1));
    Container c = TRY(Container::Create(options));
    if (detach_) {
      HostStatus started = c.Start();
      if (started.ok()) return 0;
      (void)c.Delete(true);
      return ReportStart(flags, started.error());
    }
    control::Client& client = c.launched().sandbox.client;
    HostOr<int> status = StartAndWait(client, *attachment, args[0]);
    status = EndSandbox(c.launched(), std::move(status));
    (void)c.Delete(true);
    return ReportStart(flags, std::move(status));
  }

 private:
  bool detach_ = false;
};

// --- do ---

std::string RandomId() { return StrPrintf("runsc-%08x", static_cast<uint32_t>(HostRandom64())); }

// "0 1000 1", separated by spaces, colons or commas.
HostOr<IdMapping> ParseMapping(const std::string& text) {
  uint32_t part[3] = {};
  const char* at = text.data();
  const char* end = at + text.size();
  bool good = true;
  for (int i = 0; i < 3; ++i) {
    const char* start = at;
    while (i > 0 && at < end && std::strchr(" :,", *at) != nullptr) ++at;
    good = good && (i == 0 || at > start);
    auto [next, error] = std::from_chars(at, end, part[i]);
    good = good && error == std::errc();
    at = next;
  }
  if (!good || at != end || part[2] == 0) {
    return TextError("bad id mapping \"%s\"; use \"INSIDE OUTSIDE COUNT\"", text.c_str());
  }
  return IdMapping{part[0], part[1], part[2]};
}

class DoCommand : public Command {
 public:
  const char* arguments() const override { return "<program> [arguments...]"; }
  void Declare(FlagSet& set) override {
    set.Add("root", &root_, "host directory that becomes the root");
    set.Add("cwd", &cwd_, "working directory, inside the root (the current one)");
    set.Add("quiet", &quiet_, "no messages of runsc's own");
    set.Add("force-overlay", &force_overlay_, "keep all writes in memory, away from the host");
    set.Add("volume", &volumes_, "SRC[:DST]: a host path to mount; may be repeated");
    set.Add("uid-map", &uid_map_,
            "\"INSIDE OUTSIDE COUNT\": user ids of a user namespace; may be repeated");
    set.Add("gid-map", &gid_map_,
            "\"INSIDE OUTSIDE COUNT\": group ids of a user namespace; may be repeated");
    set.AddLater("ip", false, kDefaultIp, "address of the sandbox (no network in this release)");
    set.AddLater("erofs", false, "", "EROFS image as the root (not in this release)");
  }
  HostOr<int> Run(const Flags& given, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 100000, "do [flags] <program> [arguments...]"));
    if (geteuid() != 0 && !given.rootless) {
      return TextError("do needs root's rights; without them use: runsc --rootless do ...");
    }
    Flags flags = given;
    if (force_overlay_) flags.overlay2 = "all:memory";
    spec::Spec spec = TRY(MakeSpec(args));
    container::LaunchOptions options;
    options.flags = &flags;
    options.open_log = LogOpenerFor(flags);
    options.attached = true;
    options.killable_init = true;
    options.spec = &spec;
    options.id = RandomId();
    options.bundle = "/";
    int terminal = spec.process.terminal ? STDIN_FILENO : -1;
    std::unique_ptr<Attachment> attachment = TRY(Attachment::Create(terminal));
    // No state directory: nothing of this sandbox outlives its processes, whatever kills them.
    container::Launched launched = TRY(container::Launch(options));
    HostOr<int> status = StartAndWait(launched.sandbox.client, *attachment, options.id);
    container::LogPhase("exit");
    status = EndSandbox(launched, std::move(status));
    container::LogPhase("reaped");
    return ReportStart(flags, std::move(status));
  }

 private:
  static constexpr const char* kDefaultIp = "192.168.10.2";

  HostOr<spec::Spec> MakeSpec(const std::vector<std::string>& args) {
    spec::Spec s;
    s.oci_version = "1.0.2";
    s.root_path = TRY(AbsolutePath(root_));
    s.process.argv = args;
    for (char** e = environ; *e != nullptr; ++e) {
      if (std::strchr(*e, '=') != nullptr) s.process.env.push_back(*e);
    }
    s.process.cwd = TRY(Cwd());
    s.process.terminal = host::IsTerminal(STDIN_FILENO);
    // As any command's: files on a volume are no more open than the caller's own.
    s.process.umask = umask(0);
    umask(s.process.umask);
    uint64_t all = (uint64_t{1} << 41) - 1;
    s.process.capabilities = {all, all, 0, all, 0};
    for (const std::string& v : volumes_) {
      size_t colon = v.find(':');
      bool more = colon != std::string::npos && v.find(':', colon + 1) != std::string::npos;
      std::string source = v.substr(0, colon);
      std::string target = colon == std::string::npos ? source : v.substr(colon + 1);
      if (source.empty() || target.empty() || target[0] != '/' || more) {
        return TextError("bad volume \"%s\"; use SRC[:/ABSOLUTE/DST]", v.c_str());
      }
      s.mounts.push_back({target, "bind", TRY(AbsolutePath(source)), {"rbind"}});
    }
    for (const std::string& m : uid_map_) s.uid_mappings.push_back(TRY(ParseMapping(m)));
    for (const std::string& m : gid_map_) s.gid_mappings.push_back(TRY(ParseMapping(m)));
    return s;
  }
  // With another root, the current directory of the host means nothing inside.
  HostOr<std::string> Cwd() const {
    if (!cwd_.empty() && cwd_ != ".") {
      return cwd_[0] == '/' ? HostOr<std::string>(cwd_) : AbsolutePath(cwd_);
    }
    if (root_ != "/") return std::string("/");
    HostOr<std::string> here = AbsolutePath(".");
    if (!here.ok()) return HostError{here.error().text + "; choose one with --cwd", 0};
    return here;
  }

  std::string root_ = "/", cwd_ = ".";
  bool quiet_ = false, force_overlay_ = true;
  std::vector<std::string> volumes_, uid_map_, gid_map_;
};

}  // namespace

std::unique_ptr<Command> NewCreate() { return std::make_unique<CreateCommand>(); }
std::unique_ptr<Command> NewRun() { return std::make_unique<RunCommand>(); }
std::unique_ptr<Command> NewDo() { return std::make_unique<DoCommand>(); }

}  // namespace runsc::cli
