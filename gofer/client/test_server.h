#ifndef GOFER_CLIENT_TEST_SERVER_H_
#define GOFER_CLIENT_TEST_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "gofer/client/client.h"

namespace runsc::gofer {

// A gofer process over a directory, for tests. Isolated when run as root.
class TestServer {
 public:
  explicit TestServer(const std::string& source, bool read_only = false, int channels_per_cpu = 0);
  ~TestServer();  // hangs up and waits for the gofer's end

  Fd TakeSocket() { return std::move(socket_); }
  // Connects; aborts the test program on failure.
  std::unique_ptr<Client> Connect(const ClientOptions& options = {});
  pid_t pid() const { return pid_; }
  // kill -9.
  void Kill();
  // Waits for its end; the status of waitpid.
  int Wait();

 private:
  Fd socket_;
  pid_t pid_ = -1;
};

// An empty directory under $TEST_TMPDIR or /tmp, removed with all it holds in the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace runsc::gofer

#endif  // GOFER_CLIENT_TEST_SERVER_H_
