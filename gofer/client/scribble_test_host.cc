// Both sides against a peer that writes all over the shared memory while requests are served.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "gofer/client/test_server.h"

namespace runsc::gofer {
namespace {

using namespace std::string_view_literals;

constexpr auto kTime = std::chrono::milliseconds(700);

// Writes random words, some of them plausible, anywhere in `m`, headers more often than the rest.
void Scribble(std::mt19937_64& random, ChannelMemory& m) {
  char* bytes = reinterpret_cast<char*>(&m);
  size_t where = random() % (random() % 2 == 0 ? 128 : random() % 2 == 0 ? 8192 : sizeof(m) - 8);
  if (random() % 4 == 0) where = offsetof(ChannelMemory, reply_bytes) + random() % 256;
  uint64_t value = random() % 2 == 0 ? random() % 32 : random();
  auto* word = reinterpret_cast<std::atomic<uint32_t>*>(bytes + where / 4 * 4);
  word->store(static_cast<uint32_t>(value), std::memory_order_relaxed);
}

// As another process would write it, but in a way that several threads may do at once.
void PutRequest(ChannelMemory& m, const std::string& bytes) {
  auto* to = reinterpret_cast<std::atomic<char>*>(m.request_bytes);
  for (char c : bytes) (to++)->store(c, std::memory_order_relaxed);
}

std::string RandomRequest(std::mt19937_64& random) {
  std::string bytes(16 + random() % 120, '\0');
  uint32_t op = random() % 25;
  uint64_t node = uint64_t{1} << 32 | random() % 8;
  std::memcpy(bytes.data(), &op, 4);
  std::memcpy(bytes.data() + 8, &node, 8);
  return bytes + std::string("\1\0a\1\0f", 6);
}

// Several channels send requests while another thread changes them; donations are never taken.
TEST(ScribbleTest, GoferSurvivesAClientThatWritesEverywhere) {
  TempDir dir;
  std::ofstream(dir.path() + "/a") << "x";
  TestServer server(dir.path(), false, 4);
  Fd socket = server.TakeSocket();
  Hello hello{kMagic, kVersion};
  ASSERT_TRUE(
      SendMessage(socket.get(), {reinterpret_cast<char*>(&hello), sizeof(hello)}, nullptr, 0));
  HelloReply reply{};
  Received got;
  ASSERT_TRUE(ReceiveMessage(socket.get(), &reply, sizeof(reply), &got, 5000));
  ChannelMemory* memory = MapMemory(got.fds[0].get(), reply.channels);
  ASSERT_NE(memory, nullptr);
  auto end = std::chrono::steady_clock::now() + kTime;
  std::vector<std::thread> threads;
  for (uint32_t c = 0; c < reply.channels && c < 4; ++c) {
    threads.emplace_back([=] {
      std::mt19937_64 random(c);
      for (uint32_t sequence = 1; std::chrono::steady_clock::now() < end; ++sequence) {
        std::string bytes = RandomRequest(random);
        PutRequest(memory[c], bytes);
        PostRequest(memory[c], sequence, static_cast<uint32_t>(bytes.size()));
        for (int i = 0; i < 20; ++i) Scribble(random, memory[random() % reply.channels]);
        WakeGofer(memory[c]);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(kill(server.pid(), 0), 0);
  UnmapMemory(memory, reply.channels);
  socket.Reset();
  int status = server.Wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// A gofer whose answers change while they are read, and come before or without a request.
class ScribblingGofer {
 public:
  explicit ScribblingGofer(uint64_t seed) {
    int pair[2], channel[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel);
    client_socket_.Reset(pair[0]);
    socket_.Reset(pair[1]);
    mine_.Reset(channel[0]);
    theirs_.Reset(channel[1]);
    memory_fd_ = CreateMemory(1);
    memory_ = MapMemory(memory_fd_.get(), 1);
    thread_ = std::thread([this, seed] { Run(seed); });
  }
  ~ScribblingGofer() {
    stop_ = true;
    thread_.join();
    UnmapMemory(memory_, 1);
  }
  Fd client_socket_;

 private:
  void Run(uint64_t seed) {
    std::mt19937_64 random(seed);
    Hello hello;
    Received got;
    ReceiveMessage(socket_.get(), &hello, sizeof(hello), &got, 5000);
    HelloReply reply{kMagic, kVersion, 1, 1, 1000, 0, {}};
    int fds[2] = {memory_fd_.get(), theirs_.get()};
    SendMessage(socket_.get(), {reinterpret_cast<char*>(&reply), sizeof(reply)}, fds, 2);
    while (!stop_) {
      uint32_t sequence = memory_->request.sequence.load();
      std::memset(memory_->reply_bytes, 0, 64);
      for (int i = 0; i < 8; ++i) Scribble(random, *memory_);
      PostReply(*memory_, sequence, 8 + random() % 700);
      for (int i = 0; i < 30; ++i) Scribble(random, *memory_);
      WakeSentry(*memory_);
    }
  }

  Fd socket_, mine_, theirs_, memory_fd_;
  ChannelMemory* memory_ = nullptr;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void CallMuch(Client& c) {
  for (int i = 0; i < 3; ++i) {
    (void)c.Walk(1, std::vector{"a"sv, "b"sv}, kWalkAllIds).ok();
    (void)c.ReadDir(1, 0, true).ok();
    (void)c.ReadLink(1).ok();
    (void)c.XattrList(1).ok();
    (void)c.GetAttr(1).ok();
    (void)c.Statfs(1).ok();
    (void)c.Open(1, "f", kOpenRead).ok();
    c.Close(7);
    c.FlushCloses();
  }
}

TEST(ScribbleTest, ClientSurvivesAGoferThatWritesEverywhere) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    ScribblingGofer gofer(seed);
    ClientOptions options;
    options.timeout_ms = 50;
    std::string error;
    auto client = Client::Connect(std::move(gofer.client_socket_), options, &error);
    ASSERT_NE(client, nullptr) << error;
    std::thread other([&] { CallMuch(*client); });
    CallMuch(*client);
    other.join();
  }
}

}  // namespace
}  // namespace runsc::gofer
