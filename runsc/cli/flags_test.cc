#include <gtest/gtest.h>

#include "runsc/cli/flags.h"

namespace runsc::cli {
namespace {

struct Parsed {
  Flags flags;
  std::vector<std::string> rest;
  HostStatus status;
};

Parsed Parse(std::vector<std::string> args) {
  Parsed p;
  FlagSet set;
  AddGlobalFlags(set, &p.flags);
  p.status = set.Parse(args);
  p.rest = args;
  return p;
}

TEST(FlagsTest, GoForms) {
  Parsed p = Parse({"--root=/a", "-log", "/b", "--debug", "-strace=true", "run", "--x"});
  EXPECT_TRUE(p.status.ok());
  EXPECT_EQ(p.flags.root, "/a");
  EXPECT_EQ(p.flags.log, "/b");
  EXPECT_TRUE(p.flags.debug && p.flags.strace);
  EXPECT_EQ(p.rest, (std::vector<std::string>{"run", "--x"}));
  p = Parse({"--debug=false", "--", "-x"});
  EXPECT_FALSE(p.flags.debug);
  EXPECT_EQ(p.rest, std::vector<std::string>{"-x"});
}

TEST(FlagsTest, MistakesAreNamed) {
  EXPECT_EQ(Parse({"--nosuch"}).status.error().text, "flag provided but not defined: -nosuch");
  EXPECT_NE(Parse({"--root"}).status.error().text.find("needs an argument"), std::string::npos);
  EXPECT_NE(Parse({"--debug=maybe"}).status.error().text.find("--debug: not a boolean"),
            std::string::npos);
  EXPECT_NE(Parse({"--platform=foo"}).status.error().text.find("auto|systrap|ptrace"),
            std::string::npos);
  EXPECT_NE(Parse({"--platform=kvm"}).status.error().text.find("not supported"),
            std::string::npos);
}

TEST(FlagsTest, FeaturesToComeTakeOnlyTheirDefault) {
  EXPECT_TRUE(Parse({"--gso=true", "--num-network-channels=1", "--network=none"}).status.ok());
  EXPECT_FALSE(Parse({"--gso=false"}).status.ok());
  EXPECT_FALSE(Parse({"--network=host"}).status.ok());
}

TEST(FlagSetTest, LaterFlagTakesOnlyItsUnsetValue) {
  FlagSet set;
  set.AddLater("exec-fd", false, "-1", "");
  std::vector<std::string> unset = {"--exec-fd=-1"}, used = {"--exec-fd", "3"};
  EXPECT_TRUE(set.Parse(unset).ok());
  EXPECT_EQ(set.Parse(used).error().text,
            "--exec-fd: not supported by this release of runsc; leave it out");
}

TEST(FlagsTest, AnnotationsNeedTheRowOrTheOverride) {
  Flags flags;
  EXPECT_TRUE(ApplyAnnotations({{"dev.gvisor.flag.debug", "true"}}, &flags).ok());
  EXPECT_TRUE(flags.debug);
  EXPECT_FALSE(ApplyAnnotations({{"dev.gvisor.flag.platform", "ptrace"}}, &flags).ok());
  EXPECT_FALSE(ApplyAnnotations({{"dev.gvisor.flag.overlay2", "root:dir=/x"}}, &flags).ok());
  HostStatus bad = ApplyAnnotations({{"dev.gvisor.flag.debug", "perhaps"}}, &flags);
  EXPECT_EQ(bad.error().text.rfind("annotation dev.gvisor.flag.debug: ", 0), 0u);
  flags.allow_flag_override = true;
  EXPECT_TRUE(ApplyAnnotations({{"dev.gvisor.flag.platform", "ptrace"}}, &flags).ok());
  EXPECT_EQ(flags.platform, "ptrace");
}

TEST(FlagsTest, Overlay) {
  EXPECT_FALSE(ParseOverlay("none")->root);
  EXPECT_EQ(ParseOverlay("all:memory,size=2m")->bytes, 2u << 20);
  EXPECT_EQ(ParseOverlay("root:dir=/x")->medium, "/x");
  EXPECT_FALSE(ParseOverlay("root:disk").ok());
  EXPECT_FALSE(ParseOverlay("root").ok());
  for (const char* size : {"", "x", "-1", "0", "99999999999999g"}) {
    EXPECT_FALSE(ParseOverlay(std::string("root:memory,size=") + size).ok()) << size;
  }
}

TEST(FlagsTest, ToArgumentsGivesOnlyWhatDiffers) {
  Flags flags;
  flags.debug = true;
  EXPECT_EQ(ToArguments(flags), std::vector<std::string>{"--debug=true"});
}

}  // namespace
}  // namespace runsc::cli
