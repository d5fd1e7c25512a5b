// exec: a further process in a running container.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "platform/base/log.h"
#include "platform/base/strings.h"
#include "platform/host/file.h"
#include "platform/host/process.h"
#include "platform/host/pty.h"
#include "runsc/cli/command.h"
#include "runsc/container/container.h"

namespace runsc::cli {
namespace {

using container::Attachment;
using container::Container;

constexpr size_t kMaxProcess = 16u << 20;

// The guest process once it runs, and how to wait for it.
struct Session {
  control::Client client;
  std::unique_ptr<Attachment> attachment;
  int32_t pid = 0;
};

class ExecCommand : public Command {
 public:
  const char* arguments() const override { return "<container id> <program> [arguments...]"; }
  void Declare(FlagSet& set) override {
    set.Add("cwd", &cwd_, "working directory (the container's)");
    set.Add("env", &env_, "NAME=VALUE to add; may be repeated");
    set.Add("e", &env_, "as --env");
    set.Add("user", &user_, "UID[:GID] or a name in the container's /etc/passwd");
    set.Add("u", &user_, "as --user");
    set.Add("additional-gids", &gids_, "further group; may be repeated");
    set.Add("g", &gids_, "as --additional-gids");
    set.Add("cap", &caps_, "capability to add; may be repeated");
    set.Add("c", &caps_, "as --cap");
    set.Add("detach", &detach_, "do not wait for the process's end");
    set.Add("d", &detach_, "as --detach");
    set.Add("tty", &tty_, "allocate a terminal (needs --console-socket, or a terminal on stdin)");
    set.Add("t", &tty_, "as --tty");
    set.Add("process", &process_, "file with the OCI process as JSON");
    set.Add("p", &process_, "as --process");
    set.Add("pid-file", &pid_file_, "file for the pid of a host process that stands for it");
    set.Add("internal-pid-file", &internal_pid_file_, "file for its pid inside the sandbox");
    set.Add("console-socket", &console_socket_, "socket that gets the terminal's master");
    set.Add("no-new-privs", &no_new_privs_, "set no_new_privs");
    set.AddLater("preserve-fds", false, "0", "extra descriptors (not in this release)");
    set.AddLater("pass-fd", false, "",
                 "HOST:GUEST: a descriptor for the program (not in this release)");
    set.AddLater("exec-fd", false, "-1", "descriptor of the program (not in this release)");
  }

  HostOr<int> Run(const Flags& flags, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 1, 100000, "exec [flags] <container id> <program> [arguments...]"));
    control::ExecRequest request = TRY(Request(args));
    Container c = TRY(Container::Open(flags.root, args[0], false));
    HostOr<int> status = detach_ ? Detached(c, request) : Foreground(c, request);
    if (status.ok() || status.error().code == 0) return status;
    int exit = ExitStatusFor(status.error());
    if (exit == kExitInternal || detach_) return HostError{status.error().text, 0};
    ReportError(flags, status.error().text);
    return exit;
  }

 private:
  HostOr<control::ExecRequest> Request(const std::vector<std::string>& args) {
    control::ExecRequest r;
    r.id = args[0];
    if (!process_.empty()) {
      std::string text = TRY(host::ReadFile(AT_FDCWD, process_, kMaxProcess));
      r.process = TRY(spec::ParseProcess(text));
      r.inherit = r.inherit_user = false;
    } else {
      if (args.size() < 2) return TextError("usage: runsc exec [flags] <container id> <program>");
      r.process.argv.assign(args.begin() + 1, args.end());
      r.process.env = env_;
      r.process.cwd = cwd_;
      r.process.no_new_privs = no_new_privs_;
      r.process.terminal =
          tty_ || !console_socket_.empty() || (!detach_ && host::IsTerminal(STDIN_FILENO));
      TRY(FillUser(&r));
      for (const std::string& cap : caps_) {
        uint64_t bit = TRY(spec::CapabilityBit(cap));
        r.process.capabilities.effective |= bit;
        r.process.capabilities.permitted |= bit;
        r.process.capabilities.bounding |= bit;
      }
    }
    if (!console_socket_.empty() && !r.process.terminal) {
      return TextError("--console-socket is given but the process has no terminal");
    }
    if (r.process.terminal && console_socket_.empty() &&
        (detach_ || !host::IsTerminal(STDIN_FILENO))) {
      return TextError("a terminal is asked for: stdin must be one, or give --console-socket");
    }
    return r;
  }

  HostStatus FillUser(control::ExecRequest* r) {
    for (const std::string& gid : gids_) {
      int64_t number = TRY(ParseInt(gid));
      if (number < 0 || number >= UINT32_MAX) return TextError("bad group id %s", gid.c_str());
      r->process.additional_gids.push_back(static_cast<uint32_t>(number));
    }
    if (user_.empty()) return HostOk();
    r->inherit_user = false;
    if (!spec::ParseUser(user_, &r->process.uid, &r->process.gid)) r->user_name = user_;
    return HostOk();
  }

  // Errors with a code are the program's: it cannot be found or executed.
  HostOr<Session> Begin(const Container& c, const control::ExecRequest& request, bool own_session) {
    std::array<int, 3> stdio = {0, 1, 2};
    HostOr<Session> s = Prepare(c, request, own_session, &stdio);
    if (!s.ok()) return HostError{s.error().text, 0};
    s->pid = TRY(s->client.Exec(request, stdio)).pid;
    if (internal_pid_file_.empty()) return s;
    HostStatus written = container::WritePidFile(internal_pid_file_, s->pid);
    if (!written.ok()) return HostError{written.error().text, 0};
    return s;
  }

  HostOr<Session> Prepare(const Container& c, const control::ExecRequest& request, bool own_session,
                          std::array<int, 3>* stdio) {
    Fd tty;
    if (!console_socket_.empty()) {
      tty = TRY(container::NewConsole(console_socket_, request.process));
      *stdio = {tty.get(), tty.get(), tty.get()};
      if (own_session) TRY(container::TakeTerminal(tty.get()));
    }
    Session s;
    int terminal = tty.ok() ? tty.get() : request.process.terminal ? STDIN_FILENO : -1;
    s.attachment = TRY(Attachment::Create(terminal));
    s.client = TRY(c.Connect());
    tty.Release();  // stays open: it is this process's controlling terminal
    return s;
  }

  static HostOr<int> Finish(Session& s, const std::string& id) {
    uint32_t wait =
        TRY(s.client.Send(control::Type::kWait, control::Encode(control::WaitRequest{id, s.pid})));
    HostOr<int> status = s.attachment->Wait(s.client, wait, id, s.pid);
    // The container ended and took the process with it.
    if (!status.ok()) return 128 + SIGKILL;
    return status;
  }

  HostOr<int> Foreground(const Container& c, const control::ExecRequest& request) {
    Session s = TRY(Begin(c, request, false));
    HostStatus written =
        pid_file_.empty() ? HostOk() : container::WritePidFile(pid_file_, getpid());
    if (!written.ok()) return HostError{written.error().text, 0};
    return Finish(s, request.id);
  }

  // Engines watch and signal the process through a host pid: a child of ours stands for it, passes
  // signals on, and exits with its status.
  HostOr<int> Detached(const Container& c, const control::ExecRequest& request) {
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) return SysError("cannot create a pipe");
    Fd report_read(pipe_fds[0]), report_write(pipe_fds[1]);
    host::Process child = TRY(host::CloneProcess(0, [&] {
      report_read.Reset();
      return StandIn(c, request, std::move(report_write));
    }));
    report_write.Reset();
    std::string report;
    char buffer[4096];
    ssize_t n;
    while ((n = read(report_read.get(), buffer, sizeof(buffer))) != 0) {
      if (n < 0 && errno != EINTR) break;
      if (n > 0) report.append(buffer, static_cast<size_t>(n));
    }
    if (report == "ok") {
      if (!pid_file_.empty()) TRY(container::WritePidFile(pid_file_, child.pid));
      return 0;
    }
    (void)host::WaitChild(child.pid);
    return HostError{report.empty() ? "exec: the stand-in process died" : report, 0};
  }

  int StandIn(const Container& c, const control::ExecRequest& request, Fd report) {
    setsid();
    HostOr<Session> s = Begin(c, request, true);
    if (!s.ok()) {
      (void)host::WriteAll(report.get(), s.error().text);
      return kExitInternal;
    }
    // The engine's pipes are the guest's now; here they would only keep them open.
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
    (void)host::WriteAll(report.get(), "ok");
    report.Reset();
    HostOr<int> status = Finish(*s, request.id);
    return status.ok() ? *status : kExitInternal;
  }

  std::string cwd_, user_, process_, pid_file_, internal_pid_file_, console_socket_;
  std::vector<std::string> env_, gids_, caps_;
  bool detach_ = false, tty_ = false, no_new_privs_ = false;
};

}  // namespace

std::unique_ptr<Command> NewExec() { return std::make_unique<ExecCommand>(); }

}  // namespace runsc::cli
