// Round trips and throughput of a client and its gofer. Prints microseconds a call.
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>

#include "gofer/client/test_server.h"

namespace runsc::gofer {
namespace {

double Now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

void Measure(const char* what, int n, const std::function<void()>& f) {
  f();
  double start = Now();
  for (int i = 0; i < n; ++i) f();
  std::printf("%-40s %8.2f us\n", what, (Now() - start) / n);
}

void Run() {
  TempDir dir;
  mkdir((dir.path() + "/d").c_str(), 0755);
  for (int i = 0; i < 10000; ++i) std::ofstream(dir.path() + "/d/file" + std::to_string(i)) << i;
  TestServer server(dir.path());
  double start = Now();
  auto client = server.Connect();
  std::printf("%-40s %8.2f us\n", "gofer fork, set-up and handshake", Now() - start);
  NodeId root = client->Attach(0)->node;
  NodeId d = client->WalkOne(root, "d")->node;
  Measure("getattr", 20000, [&] { (void)client->GetAttr(root).ok(); });
  Measure("walk one, attributes only", 20000,
          [&] { (void)client->WalkOne(d, "file5", kWalkNoIds).ok(); });
  Measure("walk one with id, close", 20000,
          [&] { client->Close(client->WalkOne(d, "file5")->node); });
  Measure("open by name, donate, close", 20000,
          [&] { (void)client->Open(d, "file7", kOpenRead).ok(); });
  for (bool attrs : {false, true}) {
    Measure(attrs ? "readdir 10000 with attributes" : "readdir 10000", 20, [&] {
      uint64_t cookie = 0;
      for (bool end = false; !end;) {
        auto b = client->ReadDir(d, cookie, attrs);
        end = b->end;
        cookie = b->next;
      }
    });
  }
  std::string path = dir.path() + "/d/file5";
  struct stat st{};
  Measure("(native stat)", 20000, [&] { stat(path.c_str(), &st); });
}

}  // namespace
}  // namespace runsc::gofer

int main() { runsc::gofer::Run(); }
