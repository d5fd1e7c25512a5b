#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "platform/host/socket.h"
#include "runsc/control/client.h"
#include "runsc/control/server.h"

namespace runsc::control {
namespace {

TEST(MessagesTest, ContainerConfigSurvivesTheTrip) {
  ContainerConfig c;
  c.id = "x";
  c.process.argv = {"/bin/sh", "-c", std::string("a\0b", 3)};
  c.process.rlimits = {{7, 1024, 4096}};
  c.mounts = {{MountKind::kTmpfs, "/tmp", "tmpfs", 3, 1, {"size=1m"}}};
  c.sysctls = {{"net.a", "1"}};
  ContainerConfig d;
  ASSERT_TRUE(Decode(Encode(c), &d));
  EXPECT_EQ(d.process.argv, c.process.argv);
  EXPECT_EQ(d.process.rlimits[0].hard, 4096u);
  EXPECT_EQ(d.mounts[0].data[0], "size=1m");
  EXPECT_EQ(d.sysctls, c.sysctls);
}

TEST(MessagesTest, EveryTruncationIsRefused) {
  ExecRequest r{"id", {}, true, true, "user", true};
  r.process.argv = {"a", "b"};
  std::string bytes = Encode(r);
  ExecRequest out;
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(Decode(bytes.substr(0, n), &out)) << n;
  EXPECT_FALSE(Decode(bytes + "x", &out));
}

TEST(MessagesTest, HugeCountsAreRefused) {
  ProcessesReply out;
  EXPECT_FALSE(Decode(std::string("\xff\xff\xff\xff", 4), &out));
}

// One byte or word of an honest message changed, or its end cut off.
std::string Damaged(std::mt19937& random, std::string bytes) {
  for (uint32_t n = 1 + random() % 3; n > 0 && !bytes.empty(); --n) {
    size_t at = random() % bytes.size();
    const uint32_t words[] = {0,          1,       0x7fffffff,
                              0xffffffff, 0x20000, static_cast<uint32_t>(random())};
    uint32_t word = words[random() % std::size(words)];
    if (random() % 2 == 0) {
      bytes[at] = static_cast<char>(random());
    } else {
      bytes.replace(at, 4, reinterpret_cast<const char*>(&word), 4);
    }
  }
  if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 1));
  return bytes;
}

template <typename T>
void DecodeDamaged(const T& message) {
  std::mt19937 random(3);
  const std::string bytes = Encode(message);
  for (int i = 0; i < 20000; ++i) {
    T out;
    // What is accepted can be sent on.
    if (Decode(Damaged(random, bytes), &out)) {
      T again;
      EXPECT_TRUE(Decode(Encode(out), &again));
    }
  }
}

TEST(MessagesTest, DamagedOnesAreHarmless) {
  ContainerConfig config;
  config.id = "x";
  config.process.argv = {"/bin/sh", "-c", "true"};
  config.process.rlimits = {{7, 1024, 4096}, {1, 2, 3}};
  config.mounts = {{MountKind::kTmpfs, "/tmp", "tmpfs", 3, 1, {"size=1m"}}};
  config.sysctls = {{"net.a", "1"}};
  DecodeDamaged(config);
  DecodeDamaged(BootRequest{"systrap", true, true, true, false, true, {"read", "write"}});
  ExecRequest exec{"id", {}, true, true, "user", true};
  exec.process.env = {"A=1", "B=2"};
  DecodeDamaged(exec);
  DecodeDamaged(SignalRequest{"x", SignalTarget::kAll, 7, 9});
  DecodeDamaged(ProcessesReply{{{1, 2, 3, 4, 5, 6, "sh"}, {1, 2, 3, 4, 5, 6, "ls"}}});
  DecodeDamaged(StateReply{"ptrace", {{"x", true, 7}}});
  std::mt19937 random(4);
  for (int i = 0; i < 20000; ++i) (void)DecodeReply(Damaged(random, EncodeReply("answer"))).ok();
}

TEST(MessagesTest, RepliesCarryErrors) {
  EXPECT_EQ(*DecodeReply(EncodeReply(std::string_view("abc"))), "abc");
  HostOr<std::string_view> e = DecodeReply(EncodeReply(HostError{"no", 3}));
  EXPECT_EQ(e.error().text, "no");
  EXPECT_EQ(e.error().code, 3);
  EXPECT_FALSE(DecodeReply("").ok());
}

// Answers kState, delays kWait until OnWake, and counts descriptors of kCreate.
class EchoHandler : public Handler {
 public:
  void OnRequest(PeerId peer, Frame f) override {
    if (f.type == Type::kWait) {
      waiting_ = {peer, f.sequence};
      server->Wake();
    } else if (f.type == Type::kCreate) {
      server->Reply(peer, f.sequence,
                    f.fds.size() == 4 ? EncodeReply(std::string_view())
                                      : EncodeReply(TextError("%zu", f.fds.size())));
    } else if (f.type == Type::kStop) {
      server->Reply(peer, f.sequence, EncodeReply(std::string_view()));
      server->Stop();
    } else {
      StateReply state;
      state.platform = "test";
      server->Reply(peer, f.sequence, EncodeReply(Encode(state)));
    }
  }
  void OnHangup(PeerId) override { ++hangups; }
  void OnHostSignal(int) override {}
  void OnWake() override {
    WaitReply reply{42};
    server->Reply(waiting_.first, waiting_.second, EncodeReply(Encode(reply)));
  }
  Server* server = nullptr;
  int hangups = 0;

 private:
  std::pair<PeerId, uint32_t> waiting_;
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = Server::Create(&handler_);
    ASSERT_TRUE(server.ok());
    server_ = std::move(*server);
    handler_.server = server_.get();
    client_ = Client(Connect());
    thread_ = std::thread([this] { server_->Run(); });
  }
  void TearDown() override {
    EXPECT_TRUE(client_.Stop().ok());
    thread_.join();
  }
  Fd Connect() {
    auto pair = host::StreamPair();
    server_->AddConnection(std::move(pair->first));
    return std::move(pair->second);
  }
  EchoHandler handler_;
  std::unique_ptr<Server> server_;
  Client client_;
  std::thread thread_;
};

TEST_F(ServerTest, CallsAndLateReplies) {
  EXPECT_EQ(client_.State()->platform, "test");
  EXPECT_EQ(client_.Wait({"x", 0})->status, 42);
}

TEST_F(ServerTest, DescriptorsArriveWithTheirRequest) {
  int fds[4] = {0, 1, 2, 2};
  ContainerConfig big;
  big.process.argv.assign(1, std::string(500000, 'a'));
  HostStatus created = client_.Create(big, fds);
  EXPECT_TRUE(created.ok()) << created.error().text;
  EXPECT_EQ(client_.Create({}, std::span<const int>(fds, 2)).error().text, "2");
}

std::string RawHeader(Header h) { return {reinterpret_cast<char*>(&h), sizeof(h)}; }

class BadPeerTest : public testing::TestWithParam<std::string> {};

TEST_P(BadPeerTest, IsHungUpOn) {
  auto pair = host::StreamPair();
  Connection end(std::move(pair->first));
  std::string bytes = GetParam();
  ASSERT_EQ(write(pair->second.get(), bytes.data(), bytes.size()), (ssize_t)bytes.size());
  EXPECT_FALSE(end.Receive().ok());
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPeerTest,
    testing::Values("GET / HTTP/1.0\r\n\r\n", RawHeader({kMagic, 9, Type::kState, 0, 1}),
                    RawHeader({kMagic, kVersion, Type::kState, kMaxPayload + 1, 1}),
                    RawHeader({kMagic, kVersion, static_cast<Type>(999), 0, 1})));

// A few frames, damaged as a rule, with descriptors in odd places; false once the server hung up.
bool SendDamaged(std::mt19937& random, int socket) {
  const auto type = static_cast<Type>(random() % 14);
  const auto length = static_cast<uint32_t>(random() % 64);
  if (type == Type::kStop) return true;
  std::string bytes = RawHeader({kMagic, kVersion, type, length, 7}) + std::string(length, '\3');
  if (random() % 2 == 0) bytes = Damaged(random, bytes);
  if (bytes.size() > 6 && bytes[6] == static_cast<char>(Type::kStop)) return true;
  const int fds[3] = {0, 1, 2};
  return host::SendWithFds(socket, bytes, std::span<const int>(fds, random() % 4)).ok();
}

// The server hangs up or answers, and goes on serving others.
TEST(ServerFuzzTest, DamagedStreamsAreHarmless) {
  EchoHandler handler;
  auto made = Server::Create(&handler);
  ASSERT_TRUE(made.ok());
  std::unique_ptr<Server> server = std::move(*made);
  handler.server = server.get();
  std::vector<Fd> ends;
  for (int i = 0; i < 150; ++i) {
    auto pair = host::StreamPair();
    server->AddConnection(std::move(pair->first));
    ends.push_back(std::move(pair->second));
  }
  std::thread thread([&] { server->Run(); });
  std::mt19937 random(5);
  for (size_t i = 1; i < ends.size(); ++i) {
    for (int n = 0; n < 6 && SendDamaged(random, ends[i].get()); ++n) {
    }
    ends[i].Reset();
  }
  Client client(std::move(ends[0]));
  EXPECT_EQ(client.State()->platform, "test");
  EXPECT_TRUE(client.Stop().ok());
  thread.join();
}

}  // namespace
}  // namespace runsc::control
