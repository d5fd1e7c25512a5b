#include "runsc/spec/spec.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <random>

namespace runsc::spec {
namespace {

std::string Minimal(const std::string& process, const std::string& more = "") {
  return R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{)" + process + "}" + more +
         "}";
}

const char kProcess[] = R"("args":["/bin/sh"],"cwd":"/")";

TEST(SpecTest, TemplateParses) {
  HostOr<Spec> spec = ParseSpec(TemplateSpec("/x", "/ns", {"sh"}));
  ASSERT_TRUE(spec.ok()) << spec.error().text;
  EXPECT_EQ(spec->process.argv[0], "sh");
  EXPECT_EQ(spec->process.cwd, "/x");
  EXPECT_EQ(spec->namespaces[1].path, "/ns");
  EXPECT_TRUE(spec->process.terminal);
  EXPECT_EQ(spec->process.capabilities.effective,
            *CapabilityBit("AUDIT_WRITE") | *CapabilityBit("cap_kill") |
                *CapabilityBit("CAP_NET_BIND_SERVICE"));
  EXPECT_EQ(spec->process.rlimits[0].resource, RLIMIT_NOFILE);
}

struct Bad {
  std::string json;
  const char* error;
};
class BadSpecTest : public testing::TestWithParam<Bad> {};
TEST_P(BadSpecTest, ErrorNamesThePlace) {
  HostOr<Spec> spec = ParseSpec(GetParam().json);
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().text, std::string("config.json: ") + GetParam().error);
}
INSTANTIATE_TEST_SUITE_P(
    All, BadSpecTest,
    testing::Values(
        Bad{"{", "not valid JSON"}, Bad{"[]", "must be a JSON object"},
        Bad{R"({"process":{}})", "ociVersion: must be given"},
        Bad{Minimal(R"("cwd":"/")"), "process.args: must name the program to run"},
        Bad{Minimal(R"("args":"x")"), "process.args: must be an array"},
        // -1 to Linux is "leave it as it is", never a user.
        Bad{Minimal(R"("args":["x"],"cwd":"/","user":{"uid":4294967295})"),
            "process.user.uid: is no valid id"},
        Bad{Minimal(R"("args":["x"],"cwd":"/","user":{"additionalGids":[1,4294967295]})"),
            "process.user.additionalGids: hold an id that is none"},
        Bad{Minimal(R"("args":["x"],"cwd":"/","oomScoreAdj":1001)"),
            "process.oomScoreAdj: must be between -1000 and 1000"},
        Bad{Minimal(R"("args":["x",1])"), "process.args[1]: must be a string"},
        Bad{Minimal(R"("args":["x"],"cwd":"a")"), "process.cwd: must be an absolute path"},
        Bad{Minimal(R"("args":["x"],"cwd":"/","user":{"uid":-1})"),
            "process.user.uid: must be a whole number in range"},
        Bad{Minimal(R"("args":["x"],"cwd":"/","user":{"uid":4294967296})"),
            "process.user.uid: must be a whole number in range"},
        Bad{Minimal(R"("args":["x"],"cwd":"/","rlimits":[{"type":"RLIMIT_X"}])"),
            "process.rlimits[0].type: unknown limit \"RLIMIT_X\""},
        Bad{Minimal(R"("args":["x"],"cwd":"/","capabilities":{"bounding":["CAP_X"]})"),
            "process.capabilities.bounding: unknown capability \"CAP_X\""},
        Bad{Minimal(kProcess, R"(,"hooks":{"prestart":[{"path":"x"}]})"),
            "hooks.prestart[0].path: must be an absolute path"},
        Bad{Minimal(kProcess, R"(,"linux":[])"), "linux: must be an object"}));

TEST(SpecTest, TemplateReplacesWhatIsNotUtf8) {
  HostOr<Spec> spec = ParseSpec(TemplateSpec("/\xff", "", {"s\xc3"}));
  ASSERT_TRUE(spec.ok()) << spec.error().text;
  EXPECT_EQ(spec->process.argv[0], "s\xef\xbf\xbd");
}

TEST(SpecTest, DeepNestingIsRefusedOrIgnored) {
  std::string deep(300000, '[');
  EXPECT_FALSE(ParseSpec(deep).ok());
  EXPECT_TRUE(ParseSpec(Minimal(kProcess, ",\"x\":" + deep + std::string(deep.size(), ']'))).ok());
}

// Values replaced by ones of another kind, and bytes by others: an error or a spec, never an end.
TEST(SpecTest, DamagedTextIsHarmless) {
  const std::string whole = Minimal(
      R"("args":["a"],"env":["A=1"],"cwd":"/","terminal":true,"oomScoreAdj":5,"user":{"uid":1,"umask":2,
         "additionalGids":[1]},"consoleSize":{"height":1,"width":2},"rlimits":[{"type":"RLIMIT_AS",
         "soft":1,"hard":2}],"capabilities":{"bounding":["CAP_KILL"]})",
      R"(,"hostname":"h","mounts":[{"destination":"/x","type":"tmpfs","options":["ro"]}],
         "hooks":{"poststop":[{"path":"/p","args":["x"],"timeout":3}]},"annotations":{"a":"b"},
         "linux":{"namespaces":[{"type":"pid"}],"uidMappings":[{"containerID":0,"hostID":1,"size":2}],
         "sysctl":{"a":"b"},"maskedPaths":["/m"]})");
  ASSERT_TRUE(ParseSpec(whole).ok()) << ParseSpec(whole).error().text;
  const char* const values[] = {
      "null", "-1",      "1e999",      "18446744073709551616", "{}",  "[]",      "\"\"",
      "true", "[[[1]]]", "{\"a\":{}}", "\"\\u0000\"",          "0.5", "\"\xff\""};
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string text = whole;
    for (uint32_t n = 1 + random() % 3; n > 0; --n) {
      size_t at = random() % text.size();
      if (random() % 3 == 0) {
        text[at] = static_cast<char>(random());
        continue;
      }
      // From after a ':' or '[' to the next separator.
      size_t from = text.find_first_of(":[", at);
      if (from == std::string::npos) continue;
      size_t to = text.find_first_of(",]}", from + 1);
      if (to != std::string::npos)
        text.replace(from + 1, to - from - 1, values[random() % std::size(values)]);
    }
    HostOr<Spec> spec = ParseSpec(text);
    if (spec.ok()) (void)MakePlan(*spec, "id", "/bundle").ok();
  }
}

TEST(SpecTest, UnknownFieldsAreIgnored) {
  EXPECT_TRUE(ParseSpec(Minimal(kProcess, R"(,"zebra":{"x":1})")).ok());
}

TEST(PlanTest, MountsByKindWithParentsFirst) {
  HostOr<Spec> spec = ParseSpec(Minimal(kProcess, R"(,"mounts":[
    {"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["size=64m","nosuid"]},
    {"destination":"/dev","type":"tmpfs","source":"tmpfs"},
    {"destination":"/etc/hosts","type":"bind","source":"/h","options":["rbind","ro","rprivate"]},
    {"destination":"data/","source":"rel","options":["bind"]}])"));
  ASSERT_TRUE(spec.ok()) << spec.error().text;
  HostOr<Plan> plan = MakePlan(*spec, "id", "/bundle");
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->trees.size(), 3u);
  EXPECT_EQ(plan->trees[0].source, "/bundle/rootfs");
  EXPECT_TRUE(plan->trees[1].read_only);
  EXPECT_EQ(plan->trees[2].source, "/bundle/rel");
  std::vector<std::string> order;
  for (const MountConfig& m : plan->config.mounts) {
    order.push_back(m.destination);
    if (m.destination == "/dev") EXPECT_EQ(m.kind, MountKind::kDev);
    if (m.destination == "/etc/hosts") {
      EXPECT_EQ(m.kind, MountKind::kGofer);
      EXPECT_EQ(m.flags, static_cast<uint32_t>(MS_RDONLY));
    }
    if (m.destination == "/dev/shm") EXPECT_EQ(m.data, std::vector<std::string>{"size=64m"});
  }
  EXPECT_EQ(order, (std::vector<std::string>{"/proc", "/sys", "/dev", "/data", "/dev/pts",
                                             "/dev/shm", "/etc/hosts"}));
}

TEST(PlanTest, UnknownMountTypeIsRefused) {
  HostOr<Spec> spec =
      ParseSpec(Minimal(kProcess, R"(,"mounts":[{"destination":"/x","type":"ext4"}])"));
  EXPECT_FALSE(MakePlan(*spec, "id", "/").ok());
}

TEST(PlanTest, MountOverTheRootIsRefused) {
  HostOr<Spec> spec =
      ParseSpec(Minimal(kProcess, R"(,"mounts":[{"destination":"//.","type":"tmpfs"}])"));
  EXPECT_FALSE(MakePlan(*spec, "id", "/").ok());
}

TEST(PlanTest, DomainNameMayComeAsASysctl) {
  HostOr<Spec> spec = ParseSpec(
      Minimal(kProcess, R"(,"linux":{"sysctl":{"kernel.domainname":"d","net.x":"1"}})"));
  EXPECT_EQ(MakePlan(*spec, "id", "/")->config.domainname, "d");
  spec->domainname = "own";
  EXPECT_EQ(MakePlan(*spec, "id", "/")->config.domainname, "own");
  spec->domainname = std::string(65, 'x');
  EXPECT_FALSE(MakePlan(*spec, "id", "/").ok());
}

TEST(PlanTest, ParseUser) {
  uint32_t uid = 9, gid = 9;
  EXPECT_TRUE(ParseUser("1000:2", &uid, &gid));
  EXPECT_EQ(uid, 1000u);
  EXPECT_EQ(gid, 2u);
  EXPECT_FALSE(ParseUser("root", &uid, &gid));
  EXPECT_FALSE(ParseUser("1:", &uid, &gid));
  EXPECT_FALSE(ParseUser("4294967295", &uid, &gid));
}

}  // namespace
}  // namespace runsc::spec
