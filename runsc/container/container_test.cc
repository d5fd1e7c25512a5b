#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/host/file.h"
#include "platform/host/process.h"
#include "runsc/container/container.h"

namespace runsc::container {
namespace {

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/container_test.XXXXXX";
    root_ = mkdtemp(name);
  }
  void TearDown() override { EXPECT_EQ(rmdir(root_.c_str()), 0) << "something was left behind"; }
  std::string root_;
};

State Sample(const std::string& id, int pid) {
  State s;
  s.id = id;
  s.oci_version = "1.0.2";
  s.bundle = "/bundle\xff";
  s.status = Status::kRunning;
  s.sandbox = {pid, host::StartTime(pid)};
  s.annotations = {{"a", "b"}};
  s.poststop = {{"/bin/true", {"true", "x"}, {"A=1"}, 3}};
  return s;
}

TEST_F(StoreTest, StateSurvivesAndTellsWhetherTheSandboxLives) {
  Store store(root_);
  auto entry = store.Create("c1");
  ASSERT_TRUE(entry.ok()) << entry.error().text;
  ASSERT_TRUE(entry->Save(Sample("c1", getpid())).ok());
  auto state = store.Open("c1", false)->Load();
  ASSERT_TRUE(state.ok()) << state.error().text;
  EXPECT_EQ(state->status, Status::kRunning);
  EXPECT_EQ(state->annotations.at("a"), "b");
  EXPECT_EQ(state->poststop[0].args[1], "x");
  // The pid was reused by another process: ours is gone.
  State reused = Sample("c1", getpid());
  reused.sandbox.start_time -= 1;
  ASSERT_TRUE(entry->Save(reused).ok());
  EXPECT_EQ(store.Open("c1", false)->Load()->status, Status::kStopped);
  EXPECT_EQ(*store.List(), std::vector<std::string>{"c1"});
  ASSERT_TRUE(store.Remove("c1").ok());
}

TEST_F(StoreTest, MissingTakenAndBadIds) {
  Store store(root_);
  EXPECT_EQ(store.Open("none", true).error().text, "container does not exist");
  EXPECT_TRUE(store.Create("a").ok());
  EXPECT_EQ(store.Create("a").error().code, EEXIST);
  for (const char* id : {"", ".", "..", "a/b", "a b", "../x"}) {
    EXPECT_FALSE(store.Create(id).ok()) << id;
  }
  EXPECT_TRUE(store.Remove("a").ok());
}

TEST_F(StoreTest, DeleteCleansUpAfterACreateThatWasCutShort) {
  { ASSERT_TRUE(Store(root_).Create("a").ok()); }
  auto container = Container::Open(root_, "a", true);
  ASSERT_TRUE(container.ok()) << container.error().text;
  EXPECT_EQ(container->state().status, Status::kStopped);
  EXPECT_TRUE(container->Delete(true).ok());
}

TEST_F(StoreTest, DamagedOrForeignStateIsRefusedAndDiscarded) {
  for (const char* text : {"", "{\"id\":\"a\",\"sta", "[]", "{\"id\":5}", "{\"id\":\"a\"}",
                           "{\"stateVersion\":99,\"id\":\"a\"}"}) {
    {
      auto entry = Store(root_).Create("a");
      ASSERT_TRUE(host::WriteFileAtomic(entry->dir(), "state.json", text).ok());
    }
    EXPECT_EQ(Container::Open(root_, "a", true).error().code, EBADMSG) << text;
    EXPECT_TRUE(Container::Discard(root_, "a").ok()) << text;
  }
}

TEST_F(StoreTest, AnyOtherDirectoryIsNoContainer) {
  { ASSERT_TRUE(Store(root_).Create("a").ok()); }
  const std::string file = root_ + "/a/somebody's";
  ASSERT_EQ(close(creat(file.c_str(), 0600)), 0);
  EXPECT_EQ(Store(root_).Open("a", true).error().code, ENOENT);
  ASSERT_EQ(unlink(file.c_str()), 0);
  EXPECT_TRUE(Store(root_).Remove("a").ok());
}

// Without its start time a pid could be anybody's.
TEST_F(StoreTest, DeleteNeverKillsAPidWithoutAStartTime) {
  auto child = host::CloneProcess(0, [] {
    sleep(60);
    return 0;
  });
  {
    auto entry = Store(root_).Create("a");
    State state = Sample("a", child->pid);
    state.sandbox.start_time = 0;
    ASSERT_TRUE(entry->Save(state).ok());
  }
  EXPECT_TRUE(Container::Open(root_, "a", true)->Delete(true).ok());
  EXPECT_FALSE(host::WaitGone(child->pidfd, 100));
  EXPECT_TRUE(host::SendSignal(child->pidfd, 9).ok());
  EXPECT_EQ(*host::WaitChild(child->pid), 137);
}

TEST_F(StoreTest, DeleteForceKillsWhatRuns) {
  auto child = host::CloneProcess(0, [] {
    sleep(60);
    return 0;
  });
  {
    auto entry = Store(root_).Create("a");
    ASSERT_TRUE(entry->Save(Sample("a", child->pid)).ok());
  }
  auto container = Container::Open(root_, "a", true);
  EXPECT_FALSE(container->Delete(false).ok());
  EXPECT_TRUE(container->Delete(true).ok());
  EXPECT_EQ(*host::WaitChild(child->pid), 137);
}

TEST_F(StoreTest, ExitStatusIsReadBack) {
  Store store(root_);
  auto entry = store.Create("a");
  EXPECT_FALSE(entry->ExitStatus().ok());
  auto file = entry->OpenExitFile();
  ASSERT_TRUE(host::WriteAll(file->get(), "143\n").ok());
  EXPECT_EQ(*entry->ExitStatus(), 143);
  EXPECT_TRUE(store.Remove("a").ok());
}

TEST(StateTest, OciDocument) {
  State s = Sample("c", 42);
  std::string json = OciState(s, false);
  EXPECT_NE(json.find("\"status\":\"running\",\"pid\":42"), std::string::npos) << json;
  s.status = Status::kStopped;
  EXPECT_NE(OciState(s, false).find("\"pid\":0"), std::string::npos);
}

TEST(HooksTest, GetTheStateAndStopAtTheFirstFailure) {
  State s = Sample("c", 42);
  spec::Hook good{"/bin/sh", {"sh", "-c", "grep -q '\"id\":\"c\"'"}, {"PATH=/bin:/usr/bin"}, 5};
  spec::Hook bad{"/bin/sh", {"sh", "-c", "exit 3"}, {}, 0};
  EXPECT_TRUE(RunHooks("x", {good}, s).ok());
  EXPECT_EQ(RunHooks("prestart", {bad, good}, s).error().text,
            "prestart hook: /bin/sh failed with status 3");
}

}  // namespace
}  // namespace runsc::container
