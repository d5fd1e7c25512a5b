#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "platform/host/process.h"
#include "platform/host/socket.h"
#include "runsc/boot/sandbox_server.h"
#include "runsc/control/client.h"

namespace runsc::boot {
namespace {

// A kernel whose programs are "exit N" (ends at once) and anything else (runs until a signal).
class FakeBackend : public SandboxBackend {
 public:
  explicit FakeBackend(ExitSink* sink) : sink_(sink) {}
  HostOr<control::BootReply> Boot(const control::BootRequest& r) override {
    if (r.platform == "bad") return TextError("no platform");
    return control::BootReply{"fake", "test"};
  }
  HostStatus Create(ContainerConfig config, ContainerFiles) override {
    config_ = std::move(config);
    return HostOk();
  }
  HostOr<int32_t> Start(const std::string&) override {
    if (config_.process.argv[0] == "missing") return HostError{"no such file or directory", ENOENT};
    return Launch(config_.process);
  }
  HostOr<int32_t> Exec(const control::ExecRequest& r, std::array<Fd, 3>) override {
    return Launch(r.process);
  }
  HostStatus Signal(const control::SignalRequest& r) override {
    int32_t pid = r.target == control::SignalTarget::kPid ? r.pid : 1;
    sink_->OnProcessExit(config_.id, pid, 128 + r.signal);
    return HostOk();
  }
  HostOr<control::ProcessesReply> Processes(const std::string&) override {
    return control::ProcessesReply{};
  }

 private:
  int32_t Launch(const ProcessConfig& process) {
    int32_t pid = next_++;
    if (process.argv[0] == "exit") sink_->OnProcessExit(config_.id, pid, atoi(process.argv[1].c_str()));
    return pid;
  }
  ExitSink* sink_;
  ContainerConfig config_;
  int32_t next_ = 1;
};

class SandboxServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pair = host::StreamPair();
    client_ = control::Client(std::move(pair->first));
    auto process = host::CloneProcess(0, [&] {
      client_.Close();
      SandboxServer server(false);
      FakeBackend backend(&server);
      return server.Run(&backend, std::move(pair->second));
    });
    ASSERT_TRUE(process.ok());
    process_ = std::move(*process);
  }
  int ExitStatus() {
    EXPECT_TRUE(host::WaitGone(process_.pidfd, 5000));
    return *host::WaitChild(process_.pid);
  }
  HostStatus Create(std::vector<std::string> argv) {
    EXPECT_TRUE(client_.Boot({}).ok());
    ContainerConfig c;
    c.id = "c";
    c.process.argv = std::move(argv);
    int fds[] = {0, 1, 2, 2};
    return client_.Create(c, fds);
  }
  host::Process process_;
  control::Client client_;
};

TEST_F(SandboxServerTest, InitsStatusIsTheSandboxs) {
  ASSERT_TRUE(Create({"exit", "7"}).ok());
  // Asked before the start, as the sandbox ends with init and may be gone a moment later.
  auto wait = client_.Send(control::Type::kWait, control::Encode(control::WaitRequest{"c", 0}));
  auto start = client_.Send(control::Type::kStart, control::Encode(control::ContainerRef{"c"}));
  std::optional<std::string> reply;
  while (!reply) reply = *client_.TryFinish(*wait);
  control::WaitReply status;
  ASSERT_TRUE(start.ok() && control::Decode(*reply, &status));
  EXPECT_EQ(status.status, 7);
  EXPECT_EQ(ExitStatus(), 7);
}

TEST_F(SandboxServerTest, NothingWorksBeforeBoot) {
  EXPECT_FALSE(client_.State().ok());
  control::BootRequest bad;
  bad.platform = "bad";
  EXPECT_EQ(client_.Boot(bad).error().text, "no platform");
  client_.Close();
  EXPECT_EQ(ExitStatus(), 128 + SIGKILL);
}

TEST_F(SandboxServerTest, StartErrorEndsTheSandboxAfterTellingIt) {
  ASSERT_TRUE(Create({"missing"}).ok());
  EXPECT_EQ(client_.Start({"c"}).error().code, ENOENT);
  EXPECT_EQ(ExitStatus(), 128);
}

TEST_F(SandboxServerTest, HangupBeforeAdoptEndsIt) {
  ASSERT_TRUE(Create({"sleep"}).ok());
  ASSERT_TRUE(client_.Start({"c"}).ok());
  client_.Close();
  EXPECT_EQ(ExitStatus(), 128 + SIGKILL);
}

TEST_F(SandboxServerTest, AdoptedItLivesOnAndWritesItsStatus) {
  char path[] = "/tmp/sandbox_server_test.XXXXXX";
  int exit_file = mkstemp(path);
  Fd dir(open("/tmp", O_PATH | O_DIRECTORY));
  std::string name = "sandbox_server_test." + std::to_string(getpid());
  auto listener = host::ListenAt(dir.get(), name);
  ASSERT_TRUE(Create({"sleep"}).ok());
  ASSERT_TRUE(client_.Start({"c"}).ok());
  ASSERT_TRUE(client_.Adopt(listener->get(), exit_file).ok());
  client_.Close();
  auto socket = host::ConnectAt(dir.get(), name);
  control::Client second(std::move(*socket));
  EXPECT_EQ(second.State()->platform, "fake");
  EXPECT_TRUE(second.Signal({"c", control::SignalTarget::kInit, 0, 15}).ok());
  EXPECT_EQ(ExitStatus(), 143);
  char text[8] = {};
  EXPECT_EQ(pread(exit_file, text, 8, 0), 4);
  EXPECT_STREQ(text, "143\n");
  unlink(path);
  unlink(("/tmp/" + name).c_str());
  close(exit_file);
}

TEST_F(SandboxServerTest, ExecStatusIsKeptForItsWaiter) {
  ASSERT_TRUE(Create({"sleep"}).ok());
  control::ExecRequest exec;
  exec.id = "c";
  exec.process.argv = {"exit", "5"};
  int fds[] = {0, 1, 2};
  EXPECT_FALSE(client_.Exec(exec, fds).ok());  // not started
  ASSERT_TRUE(client_.Start({"c"}).ok());
  auto pid = client_.Exec(exec, fds);
  ASSERT_TRUE(pid.ok()) << pid.error().text;
  EXPECT_EQ(client_.Wait({"c", pid->pid})->status, 5);
  EXPECT_TRUE(client_.Stop().ok());
  EXPECT_EQ(ExitStatus(), 128 + SIGKILL);
}

TEST_F(SandboxServerTest, TermOfAContainerNeverStartedEndsIt) {
  ASSERT_TRUE(Create({"sleep"}).ok());
  EXPECT_FALSE(client_.Signal({"c", control::SignalTarget::kInit, 0, 10}).ok());
  EXPECT_TRUE(client_.Signal({"c", control::SignalTarget::kInit, 0, 9}).ok());
  EXPECT_EQ(ExitStatus(), 137);
}

}  // namespace
}  // namespace runsc::boot
