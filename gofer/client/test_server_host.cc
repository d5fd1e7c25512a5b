#include "gofer/client/test_server.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "gofer/server/server.h"
#include "platform/base/log.h"

namespace runsc::gofer {

TestServer::TestServer(const std::string& source, bool read_only, int channels_per_cpu) {
  int pair[2];
  CHECK_OR_PANIC(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  pid_ = fork();
  if (pid_ == 0) {
    ServerOptions options;
    options.attach_points.push_back({source, -1, read_only});
    options.connections.push_back(pair[1]);
    options.isolate = getuid() == 0;
    options.channels_per_cpu = channels_per_cpu;
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    options.seccomp = false;  // the sanitizer's own calls are not in the filter
#endif
    std::string error;
    int status = ServerMain(std::move(options), {}, &error);
    if (status != 0) std::fprintf(stderr, "%s\n", error.c_str());
    _exit(status);
  }
  close(pair[1]);
  socket_.Reset(pair[0]);
}

TestServer::~TestServer() {
  socket_.Reset();
  if (pid_ > 0) Wait();
}

std::unique_ptr<Client> TestServer::Connect(const ClientOptions& options) {
  std::string error;
  auto client = Client::Connect(TakeSocket(), options, &error);
  if (client == nullptr) Panic("%s", error.c_str());
  return client;
}

void TestServer::Kill() { kill(pid_, SIGKILL); }

int TestServer::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

TempDir::TempDir() {
  const char* base = std::getenv("TEST_TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/gofer-test-XXXXXX";
  CHECK_OR_PANIC(mkdtemp(path_.data()) != nullptr);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace runsc::gofer
