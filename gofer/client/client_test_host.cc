// The client against a real gofer process, and both sides against liars.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>
#include <set>
#include <thread>

#include "gofer/client/client.h"
#include "gofer/client/test_server.h"

namespace runsc::gofer {
namespace {

using namespace std::string_view_literals;

void WriteFile(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

std::string ReadAll(int fd) {
  char buffer[256];
  ssize_t n = pread(fd, buffer, sizeof(buffer), 0);
  return std::string(buffer, n < 0 ? 0 : static_cast<size_t>(n));
}

class Listener : public DeathListener {
 public:
  void OnGoferDeath(std::string_view reason) override {
    reason_ = reason;
    ++count_;
  }
  std::string reason_;
  std::atomic<int> count_{0};
};

class ClientTest : public testing::Test {
 protected:
  void Start(bool read_only = false) {
    server_ = std::make_unique<TestServer>(dir_.path(), read_only);
    client_ = server_->Connect();
    root_ = client_->Attach(0).value().node;
  }
  void TearDown() override {
    if (server_ == nullptr) return;
    client_.reset();
    int status = server_->Wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  std::string At(const std::string& name) { return dir_.path() + "/" + name; }

  TempDir dir_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<Client> client_;
  NodeId root_ = 0;
};

TEST_F(ClientTest, WalkGivesAttributesOfEveryStep) {
  mkdir(At("a").c_str(), 0750);
  WriteFile(At("a/f"), "hello");
  Start();
  auto r = client_->Walk(root_, std::vector{"a"sv, "f"sv}, kWalkAllIds);
  ASSERT_TRUE(r.ok());
  ASSERT_EQ(r->steps.size(), 2u);
  EXPECT_EQ(r->steps[0].attr.mode, S_IFDIR | 0750u);
  EXPECT_EQ(r->steps[1].attr.size, 5u);
  EXPECT_NE(r->steps[0].node, 0u);
}

TEST_F(ClientTest, WalkStopsAtSymlinksAndMissingNames) {
  mkdir(At("a").c_str(), 0755);
  ASSERT_EQ(symlink("/etc", At("a/l").c_str()), 0);
  Start();
  auto r = client_->Walk(root_, std::vector{"a"sv, "l"sv, "passwd"sv}, 0);
  ASSERT_TRUE(r.ok());
  ASSERT_EQ(r->steps.size(), 2u);
  EXPECT_EQ(r->steps[1].link, "/etc");
  EXPECT_EQ(r->error, Errno::kOk);
  r = client_->Walk(root_, std::vector{"a"sv, "no"sv, "x"sv}, 0);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->steps.size(), 1u);
  EXPECT_EQ(r->error, Errno::kNoent);
}

TEST_F(ClientTest, CreateWriteReadStat) {
  Start();
  auto made = client_->Create(root_, "f", kOpenRead | kOpenWrite, 04755, getuid(), 12);
  ASSERT_TRUE(made.ok()) << ErrnoName(made.error());
  ASSERT_EQ(pwrite(made->fd.get(), "xyz", 3, 0), 3);
  struct stat st{};
  ASSERT_EQ(stat(At("f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, S_IFREG | 04755u);
  EXPECT_EQ(st.st_gid, 12u);
  EXPECT_EQ(client_->GetAttr(made->node)->size, 3u);
  EXPECT_EQ(client_->Create(root_, "f", kOpenRead, 0644, 0, 0).error(), Errno::kExist);
  auto again = client_->Open(root_, "f", kOpenRead);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(ReadAll(again->fd.get()), "xyz");
  EXPECT_EQ(client_->Open(made->node, "", kOpenWrite | kOpenTruncate)->attr.size, 0u);
}

TEST_F(ClientTest, OnlyRegularFilesAreDonated) {
  mkdir(At("d").c_str(), 0755);
  mkfifo(At("p").c_str(), 0644);
  ASSERT_EQ(symlink("d", At("l").c_str()), 0);
  Start();
  EXPECT_EQ(client_->Open(root_, "d", kOpenRead).error(), Errno::kIsdir);
  EXPECT_EQ(client_->Open(root_, "p", kOpenRead).error(), Errno::kNxio);
  EXPECT_EQ(client_->Open(root_, "l", kOpenRead).error(), Errno::kLoop);
  EXPECT_EQ(client_->Open(root_, "..", kOpenRead).error(), Errno::kInval);
  EXPECT_EQ(client_->Open(root_, "no", kOpenRead).error(), Errno::kNoent);
}

TEST_F(ClientTest, DirectoriesAreListedInBulk) {
  std::set<std::string> want;
  for (int i = 0; i < 3000; ++i) {
    std::string name = "file-with-a-longer-name-" + std::to_string(i);
    WriteFile(At(name), "x");
    want.insert(name);
  }
  Start();
  for (bool attrs : {false, true}) {
    std::set<std::string> got;
    uint64_t cookie = 0;
    for (bool end = false; !end;) {
      auto batch = client_->ReadDir(root_, cookie, attrs);
      ASSERT_TRUE(batch.ok());
      for (Entry& e : batch->entries) {
        EXPECT_EQ(e.type, 8);
        EXPECT_EQ(e.has_attr, attrs);
        if (attrs) EXPECT_EQ(e.attr.ino, e.ino);
        EXPECT_TRUE(got.insert(e.name).second);
      }
      end = batch->end;
      cookie = batch->next;
    }
    EXPECT_EQ(got, want);
  }
}

TEST_F(ClientTest, NamesAreMadeMovedAndRemoved) {
  Start();
  auto dir = client_->Mknod(root_, "d", S_IFDIR | 02755, getuid(), getgid());
  ASSERT_TRUE(dir.ok());
  EXPECT_EQ(dir->attr.mode, S_IFDIR | 02755u);
  ASSERT_TRUE(client_->Mknod(dir->node, "p", S_IFIFO | 0600, getuid(), getgid()).ok());
  EXPECT_EQ(client_->Mknod(root_, "c", S_IFCHR | 0600, 0, 0).error(), Errno::kPerm);
  auto link = client_->Symlink(root_, "s", "to/where", getuid(), getgid());
  ASSERT_TRUE(link.ok());
  EXPECT_EQ(*client_->ReadLink(link->node), "to/where");
  auto file = client_->Create(root_, "f", kOpenWrite, 0600, getuid(), getgid());
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(client_->Link(file->node, dir->node, "g")->nlink, 2u);
  EXPECT_TRUE(client_->Rename(root_, "f", dir->node, "h", 0).ok());
  EXPECT_EQ(client_->Rename(root_, "s", dir->node, "h", 1).error(), Errno::kExist);
  EXPECT_EQ(client_->Unlink(root_, "d", true).error(), Errno::kNotempty);
  for (const char* name : {"g", "h", "p"}) {
    EXPECT_TRUE(client_->Unlink(dir->node, name, false).ok());
  }
  EXPECT_TRUE(client_->Unlink(root_, "d", true).ok());
  EXPECT_EQ(client_->WalkOne(root_, "d").error(), Errno::kNoent);
}

TEST_F(ClientTest, TmpfileCanBeLinked) {
  Start();
  auto tmp = client_->Tmpfile(root_, kOpenRead | kOpenWrite, 0640, getuid(), getgid());
  if (!tmp.ok() && tmp.error() == Errno::kOpnotsupp) GTEST_SKIP();
  ASSERT_TRUE(tmp.ok()) << ErrnoName(tmp.error());
  EXPECT_EQ(tmp->attr.nlink, 0u);
  EXPECT_TRUE(client_->Link(tmp->node, root_, "named").ok());
  EXPECT_EQ(client_->WalkOne(root_, "named")->attr.ino, tmp->attr.ino);
}

TEST_F(ClientTest, AttributesAreSet) {
  WriteFile(At("f"), "12345678");
  ASSERT_EQ(symlink("f", At("l").c_str()), 0);
  Start();
  NodeId f = client_->WalkOne(root_, "f")->node;
  SetAttrRequest r{};
  r.node = f;
  r.mask = kSetMode | kSetSize | kSetMtime;
  r.mode = 0601;
  r.size = 3;
  r.mtime = {1000, 5, 0};
  auto attr = client_->SetAttr(r);
  ASSERT_TRUE(attr.ok());
  EXPECT_EQ(attr->mode, S_IFREG | 0601u);
  EXPECT_EQ(attr->size, 3u);
  EXPECT_EQ(attr->mtime.seconds, 1000);
  EXPECT_EQ(attr->mtime.nanos, 5u);
  r = {};
  r.node = client_->WalkOne(root_, "l")->node;
  r.mask = kSetMtime;
  r.mtime = {77, 0, 0};
  EXPECT_EQ(client_->SetAttr(r)->mtime.seconds, 77);
  r.mask = kSetMode;
  EXPECT_EQ(client_->SetAttr(r).error(), Errno::kOpnotsupp);
}

TEST_F(ClientTest, Xattrs) {
  WriteFile(At("f"), "x");
  if (setxattr(At("f").c_str(), "user.probe", "1", 1, 0) != 0) GTEST_SKIP();
  if (getuid() == 0) setxattr(At("f").c_str(), "trusted.secret", "1", 1, 0);
  Start();
  NodeId f = client_->WalkOne(root_, "f")->node;
  EXPECT_TRUE(client_->XattrSet(f, "user.a", "value", 0).ok());
  EXPECT_EQ(*client_->XattrGet(f, "user.a"), "value");
  EXPECT_EQ(client_->XattrSet(f, "user.a", "v", XATTR_CREATE).error(), Errno::kExist);
  EXPECT_EQ(*client_->XattrList(f), std::string("user.probe\0user.a\0", 18));
  EXPECT_TRUE(client_->XattrRemove(f, "user.a").ok());
  EXPECT_EQ(client_->XattrGet(f, "user.a").error(), Errno::kNodata);
  EXPECT_EQ(client_->XattrGet(f, "trusted.secret").error(), Errno::kOpnotsupp);
}

TEST_F(ClientTest, ReadOnlyTreesStaySo) {
  WriteFile(At("f"), "x");
  Start(true);
  NodeId f = client_->WalkOne(root_, "f")->node;
  EXPECT_TRUE(client_->Open(f, "", kOpenRead).ok());
  EXPECT_EQ(client_->Open(f, "", kOpenWrite).error(), Errno::kRofs);
  EXPECT_EQ(client_->Create(root_, "g", kOpenWrite, 0600, 0, 0).error(), Errno::kRofs);
  EXPECT_EQ(client_->Unlink(root_, "f", false).error(), Errno::kRofs);
}

TEST_F(ClientTest, StaleIdsAreRefused) {
  Start();
  NodeId d = client_->Mknod(root_, "d", S_IFDIR | 0755, getuid(), getgid())->node;
  client_->Close(d);
  client_->FlushCloses();
  EXPECT_EQ(client_->GetAttr(d).error(), Errno::kStale);
  EXPECT_EQ(client_->GetAttr(0).error(), Errno::kStale);
  EXPECT_EQ(client_->GetAttr(~0ull).error(), Errno::kStale);
}

TEST_F(ClientTest, ManyThreadsShareTheChannels) {
  for (int i = 0; i < 8; ++i) WriteFile(At("f" + std::to_string(i)), std::to_string(i));
  Start();
  std::vector<std::thread> threads;
  std::atomic<int> bad{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::string name = "f" + std::to_string(t);
      for (int i = 0; i < 500; ++i) {
        auto opened = client_->Open(root_, name, kOpenRead);
        if (!opened.ok() || ReadAll(opened->fd.get()) != std::to_string(t)) ++bad;
        auto walked = client_->WalkOne(root_, name);
        if (!walked.ok()) ++bad;
        if (walked.ok()) client_->Close(walked->node);
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(bad, 0);
}

TEST_F(ClientTest, ManyChannels) {
  for (int i = 0; i < 300; ++i) WriteFile(At("f" + std::to_string(i)), "x");
  server_ = std::make_unique<TestServer>(dir_.path(), false, 16);
  client_ = server_->Connect();
  root_ = client_->Attach(0).value().node;
  std::vector<std::thread> threads;
  std::atomic<int> bad{0};
  for (int t = 0; t < 24; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        auto batch = client_->ReadDir(root_, 0, true);
        if (!batch.ok() || batch->entries.size() != 300) ++bad;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(bad, 0);
}

TEST_F(ClientTest, HostKernelFileSystemsAreNotServed) {
  if (getuid() != 0) GTEST_SKIP();
  TestServer server("/", true);
  auto client = server.Connect();
  NodeId root = client->Attach(0)->node;
  for (const char* name : {"proc", "sys"}) {
    auto shown = client->WalkOne(root, name);
    ASSERT_TRUE(shown.ok()) << name;
    EXPECT_EQ(shown->attr.mode, uint32_t{S_IFDIR | 0555});
    EXPECT_EQ(client->GetAttr(shown->node)->ino, shown->attr.ino);
    EXPECT_EQ(client->WalkOne(shown->node, "kernel").error(), Errno::kNoent);
    EXPECT_EQ(client->WalkOne(shown->node, "self").error(), Errno::kNoent);
    auto listed = client->ReadDir(shown->node, 0, true);
    EXPECT_TRUE(listed->entries.empty() && listed->end);
    EXPECT_EQ(client->Mknod(shown->node, "x", S_IFREG | 0644, 0, 0).error(), Errno::kRofs);
  }
  auto all = client->ReadDir(root, 0, true);
  for (const Entry& e : all->entries) {
    if (e.name == "proc") EXPECT_EQ(e.attr.mode, uint32_t{S_IFDIR | 0555});
  }
  EXPECT_TRUE(client->WalkOne(root, "etc").ok());
  EXPECT_TRUE(client->Walk(root, std::vector{"etc"sv, "passwd"sv}, 0).ok());
}

TEST_F(ClientTest, KilledGoferIsNoticedWithoutARequest) {
  Listener listener;
  TestServer server(dir_.path());
  ClientOptions options;
  options.listener = &listener;
  auto client = server.Connect(options);
  server.Kill();
  for (int i = 0; i < 500 && listener.count_ == 0; ++i) usleep(10000);
  EXPECT_EQ(listener.count_, 1);
  EXPECT_EQ(client->Attach(0).error(), Errno::kIo);
}

TEST_F(ClientTest, StalledGoferIsGivenUp) {
  Listener listener;
  TestServer server(dir_.path());
  ClientOptions options;
  options.listener = &listener;
  options.timeout_ms = 200;
  auto client = server.Connect(options);
  kill(server.pid(), SIGSTOP);
  int status = 0;
  ASSERT_EQ(waitpid(server.pid(), &status, WUNTRACED), server.pid());
  EXPECT_EQ(client->Attach(0).error(), Errno::kIo);
  EXPECT_NE(listener.reason_.find("did not answer"), std::string::npos);
  kill(server.pid(), SIGCONT);
}

TEST_F(ClientTest, MissingSourceIsAClearError) {
  TestServer server(dir_.path() + "/none");
  std::string error;
  EXPECT_EQ(Client::Connect(server.TakeSocket(), {}, &error), nullptr);
  EXPECT_NE(error.find("gofer"), std::string::npos);
  EXPECT_EQ(WEXITSTATUS(server.Wait()), 1);
}

// --- a client that lies ---

// Speaks the channel by hand.
class RawClient {
 public:
  explicit RawClient(Fd socket) : socket_(std::move(socket)) {
    Hello hello{kMagic, kVersion};
    SendMessage(socket_.get(), {reinterpret_cast<char*>(&hello), sizeof(hello)}, nullptr, 0);
    HelloReply reply{};
    ReceiveMessage(socket_.get(), &reply, sizeof(reply), &got_, 5000);
    memory_ = MapMemory(got_.fds[0].get(), reply.channels);
  }
  // Sends raw bytes claiming to be `claimed` long; false if no answer comes.
  bool Send(std::string_view bytes, uint32_t claimed) {
    std::memcpy(memory_->request_bytes, bytes.data(), bytes.size());
    PostRequest(*memory_, ++sequence_, claimed);
    std::atomic<bool> never{false};
    bool ok = AwaitReply(*memory_, sequence_, 5000, never) == WaitResult::kReplied;
    Received drop;
    Donation donation;
    ReceiveMessage(got_.fds[1].get(), &donation, sizeof(donation), &drop, 0);
    return ok;
  }

 private:
  Fd socket_;
  Received got_;
  ChannelMemory* memory_ = nullptr;
  uint32_t sequence_ = 0;
};

TEST_F(ClientTest, GoferSurvivesRandomRequests) {
  mkdir(At("a").c_str(), 0755);
  WriteFile(At("a/f"), "x");
  TestServer server(dir_.path());
  RawClient raw(server.TakeSocket());
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 4 == 0 ? random() : 0);
    // Mostly a real operation, a likely node id, and sometimes a real name after the struct.
    if (bytes.size() >= 16) {
      uint32_t op = random() % 27;
      uint64_t node = uint64_t{1} << 32 | random() % 8;
      std::memcpy(bytes.data(), &op, 4);
      if (random() % 4 != 0) std::memcpy(bytes.data() + 8, &node, 8);
      if (random() % 2 == 0) bytes += std::string("\1\0a\1\0f", 6);
    }
    uint32_t claimed = random() % 50 == 0 ? random() : static_cast<uint32_t>(bytes.size());
    ASSERT_TRUE(raw.Send(bytes, claimed)) << i;
  }
  EXPECT_EQ(kill(server.pid(), 0), 0);
}

// --- a gofer that lies ---

// Answers every request on channel 0 with bytes from `make`, until the client hangs up.
class LyingServer {
 public:
  explicit LyingServer(std::function<std::string(std::mt19937&)> make, unsigned seed) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    client_socket_.Reset(pair[0]);
    socket_.Reset(pair[1]);
    thread_ = std::thread([this, make, seed] { Run(make, seed); });
  }
  ~LyingServer() {
    stop_ = true;
    if (memory_ != nullptr) WakeGofer(*memory_);
    thread_.join();
    UnmapMemory(memory_, 1);
  }
  Fd client_socket_;

 private:
  void Run(const std::function<std::string(std::mt19937&)>& make, unsigned seed) {
    std::mt19937 random(seed);
    Hello hello;
    Received got;
    ReceiveMessage(socket_.get(), &hello, sizeof(hello), &got, 5000);
    HelloReply reply{kMagic, kVersion, 1, 1, 1000, 0, {}};
    Fd memory = CreateMemory(1);
    memory_ = MapMemory(memory.get(), 1);
    int pair[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    Fd mine(pair[0]);
    Fd theirs(pair[1]);
    int fds[2] = {memory.get(), theirs.get()};
    SendMessage(socket_.get(), {reinterpret_cast<char*>(&reply), sizeof(reply)}, fds, 2);
    uint32_t seen = 0;
    while (auto sequence = AwaitRequest(*memory_, seen, stop_)) {
      seen = *sequence;
      std::string bytes = make(random);
      std::memcpy(memory_->reply_bytes, bytes.data(), bytes.size());
      uint32_t size = random() % 20 == 0 ? random() : static_cast<uint32_t>(bytes.size());
      if (random() % 3 == 0) {
        Donation d{random() % 4 == 0 ? 0 : kMagic, seen};
        int fd = random() % 2 == 0 ? memory.get() : socket_.get();
        SendMessage(mine.get(), {reinterpret_cast<char*>(&d), sizeof(d)}, &fd, 1);
      }
      PostReply(*memory_, seen, size);
    }
  }

  Fd socket_;
  ChannelMemory* memory_ = nullptr;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::string RandomReply(std::mt19937& random) {
  std::string bytes(random() % 600, '\0');
  for (char& c : bytes) c = static_cast<char>(random() % 6 == 0 ? random() : 0);
  // Usually "no error", so that the bodies are looked at.
  if (bytes.size() >= 8 && random() % 8 != 0) std::memset(bytes.data(), 0, 8);
  if (bytes.size() >= 8 && random() % 3 == 0) bytes[4] = 1;
  if (bytes.size() >= 12 && random() % 2 == 0) bytes[8] = static_cast<char>(random() % 4);
  return bytes;
}

void CallEverything(Client& c) {
  (void)c.Attach(0).ok();
  (void)c.Walk(1, std::vector{"a"sv, "b"sv}, kWalkAllIds).ok();
  (void)c.Open(1, "f", kOpenRead).ok();
  (void)c.Create(1, "f", kOpenWrite, 0, 0, 0).ok();
  (void)c.GetAttr(1).ok();
  (void)c.ReadDir(1, 0, true).ok();
  (void)c.ReadDir(1, 0, false).ok();
  (void)c.ReadLink(1).ok();
  (void)c.XattrGet(1, "user.a").ok();
  (void)c.XattrList(1).ok();
  (void)c.Statfs(1).ok();
  (void)c.Unlink(1, "a", false).ok();
}

TEST(LyingGoferTest, RandomAnswersNeverHarmTheClient) {
  for (unsigned seed = 0; seed < 400; ++seed) {
    LyingServer server(RandomReply, seed);
    Listener listener;
    ClientOptions options;
    options.listener = &listener;
    std::string error;
    auto client = Client::Connect(std::move(server.client_socket_), options, &error);
    ASSERT_NE(client, nullptr) << error;
    for (int i = 0; i < 4; ++i) CallEverything(*client);
    if (client->dead()) EXPECT_EQ(listener.count_, 1);
  }
}

// The same entry again and again, always with the same place to go on from.
TEST(LyingGoferTest, ListingThatDoesNotGoOnIsALie) {
  auto stuck = [](std::mt19937&) {
    struct {
      ReplyHeader header{};
      ReadDirReply reply{1, 0, 7};
      DirEntry entry{5, DT_REG, 0, 1, 0};
      char name = 'f';
    } __attribute__((packed)) bytes;
    return std::string(reinterpret_cast<char*>(&bytes), sizeof(bytes));
  };
  LyingServer server(stuck, 1);
  Listener listener;
  ClientOptions options;
  options.listener = &listener;
  std::string error;
  auto client = Client::Connect(std::move(server.client_socket_), options, &error);
  ASSERT_NE(client, nullptr) << error;
  ASSERT_TRUE(client->ReadDir(1, 0, false).ok());
  EXPECT_FALSE(client->ReadDir(1, 7, false).ok());
  EXPECT_TRUE(client->dead());
}

TEST(LyingGoferTest, HandshakeIsChecked) {
  for (int lie = 0; lie < 5; ++lie) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    Fd mine(pair[0]);
    HelloReply reply{kMagic, kVersion, 1, 1, 1000, 0, {}};
    Fd memory = CreateMemory(lie == 0 ? 2 : 1);
    int unsealed = memfd_create("x", MFD_ALLOW_SEALING);
    (void)ftruncate(unsealed, static_cast<off_t>(MemorySize(1)));
    int fds[2] = {lie == 1 ? unsealed : memory.get(), lie == 2 ? unsealed : mine.get()};
    if (lie == 3) reply.version = 9;
    SendMessage(mine.get(), {reinterpret_cast<char*>(&reply), sizeof(reply)}, fds,
                lie == 4 ? 1 : 2);
    std::string error;
    EXPECT_EQ(Client::Connect(Fd(pair[1]), {}, &error), nullptr) << lie;
    EXPECT_FALSE(error.empty());
    close(unsealed);
  }
}

}  // namespace
}  // namespace runsc::gofer
