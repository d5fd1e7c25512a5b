// What a new program finds: auxiliary vector, randomised layout, vDSO, argument area, AT_SECURE.
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <set>

#include "test/util/test_util.h"

extern char** environ;

namespace {
using namespace guest;

// Runs a shell command in a child; answers what it printed.
std::string Output(const std::string& script) {
  int p[2];
  CHECK_OR_DIE(pipe(p) == 0);
  pid_t pid = StartChild([&] {
    dup2(p[1], 1);
    close(p[0]);
    close(p[1]);
    execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
    return 127;
  });
  close(p[1]);
  std::string out;
  char buf[4096];
  ssize_t n;
  while ((n = read(p[0], buf, sizeof buf)) > 0) out.append(buf, n);
  close(p[0]);
  WaitFor(pid);
  return out;
}

TEST(AuxvTest, Values) {
  EXPECT_EQ(getauxval(AT_PAGESZ), 4096u);
  EXPECT_EQ(getauxval(AT_UID), getuid());
  EXPECT_EQ(getauxval(AT_EUID), geteuid());
  EXPECT_EQ(getauxval(AT_SECURE), 0u);
  EXPECT_EQ(getauxval(AT_CLKTCK), 100u);
  EXPECT_GT(getauxval(AT_PHNUM), 0u);
  EXPECT_EQ(getauxval(AT_PHENT), sizeof(ElfW(Phdr)));
  EXPECT_NE(getauxval(AT_HWCAP), 0u);
  EXPECT_STREQ(reinterpret_cast<const char*>(getauxval(AT_PLATFORM)), "x86_64");
  EXPECT_NE(strstr(reinterpret_cast<const char*>(getauxval(AT_EXECFN)), "loader_test"), nullptr);
  auto* elf = reinterpret_cast<const char*>(getauxval(AT_SYSINFO_EHDR));
  ASSERT_NE(elf, nullptr);
  EXPECT_EQ(memcmp(elf, ELFMAG, SELFMAG), 0);
}

TEST(AuxvTest, FileAgrees) {
  std::string raw = GetFile("/proc/self/auxv");
  bool found = false;
  for (size_t i = 0; i + 16 <= raw.size(); i += 16) {
    uint64_t pair[2];
    memcpy(pair, raw.data() + i, 16);
    if (pair[0] == AT_RANDOM) found = pair[1] == getauxval(AT_RANDOM);
  }
  EXPECT_TRUE(found);
}

TEST(AuxvTest, RandomBytesDiffer) {
  std::string command = "od -An -tx1 -N16 /proc/sys/kernel/random/uuid; LD_SHOW_AUXV=1 /bin/true";
  EXPECT_NE(Output(command), Output(command));
  auto* random = reinterpret_cast<const unsigned char*>(getauxval(AT_RANDOM));
  int sum = 0;
  for (int i = 0; i < 16; i++) sum |= random[i];
  EXPECT_NE(sum, 0);
}

TEST(AslrTest, LayoutsDiffer) {
  std::set<std::string> stacks, libraries, heaps;
  for (int i = 0; i < 4; i++) {
    std::string maps = Output("cat /proc/self/maps");
    auto start_of = [&](const char* what) {
      size_t at = maps.find(what);
      size_t line = maps.rfind('\n', at);
      return maps.substr(line + 1, maps.find('-', line + 1) - line - 1);
    };
    stacks.insert(start_of("[stack]"));
    libraries.insert(start_of("libc"));
    heaps.insert(start_of("[heap]"));
  }
  EXPECT_GT(stacks.size(), 1u);
  EXPECT_GT(libraries.size(), 1u);
  EXPECT_GT(heaps.size(), 1u);
}

TEST(AslrTest, PersonalityTurnsItOff) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(personality(ADDR_NO_RANDOMIZE) != -1);
    auto stack = [] {
      return Output("grep -F '[stack]' /proc/self/maps | cut -d- -f2 | cut -c1-11");
    };
    CHECK_OR_DIE(stack() == stack());
    return 0;
  });
}

TEST(SecureTest, SetuidProgramIsSecure) {
  TempDir dir;
  chmod(dir.path().c_str(), 0755);
  std::string copy = dir / "suid";
  PutFile(copy, GetFile("/bin/true"));
  chmod(copy.c_str(), 04755);
  std::string script = "setpriv --reuid=1000 --clear-groups env LD_SHOW_AUXV=1 ";
  EXPECT_EQ(Output(script + copy).find("AT_SECURE"), std::string::npos);
  EXPECT_NE(Output(script + "/bin/true").find("AT_SECURE:            0"), std::string::npos);
}

TEST(ArgumentTest, CmdlineCanBeOverwrittenInPlace) {
  EXPECT_CHILD_OK([] {
    std::string path = "/proc/self/cmdline";
    std::string before = GetFile(path);
    // argv[0] lies where /proc says; programs that retitle themselves write there.
    std::string stat = GetFile("/proc/self/stat");
    std::string rest = stat.substr(stat.rfind(')') + 2);
    uint64_t fields[50] = {};
    int i = 0;
    for (char* p = rest.data(); (p = strtok(p, " ")) != nullptr && i < 50; p = nullptr) {
      fields[i++] = strtoull(p, nullptr, 10);
    }
    auto* arg_start = reinterpret_cast<char*>(fields[45]);  // Field 48.
    CHECK_OR_DIE(arg_start != nullptr && *arg_start == before[0]);
    *arg_start = '#';
    CHECK_OR_DIE(GetFile(path)[0] == '#');
    return 0;
  });
}

TEST(StackTest, HoldsSixMegabytes) {
  rlimit limit;
  ASSERT_THAT(getrlimit(RLIMIT_STACK, &limit), SyscallSucceeds());
  EXPECT_GE(limit.rlim_cur, 8u << 20);
}

TEST(VdsoTest, IsMappedReadExecuteOnly) {
  auto* vdso = reinterpret_cast<char*>(getauxval(AT_SYSINFO_EHDR));
  char line[32];
  snprintf(line, sizeof line, "%lx-", reinterpret_cast<unsigned long>(vdso));
  std::string maps = GetFile("/proc/self/maps");
  size_t at = maps.find(line);
  ASSERT_NE(at, std::string::npos);
  EXPECT_NE(maps.substr(at, 60).find("r-xp"), std::string::npos);
}

TEST(DynamicTest, LibrariesLoadAtRuntime) {
  EXPECT_EQ(Output("/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL(None).abs(-5))'"), "5\n");
}

TEST(ExecLimitTest, BigButAllowedArguments) {
  std::string list = Output("/usr/bin/seq 1 20000 | /usr/bin/xargs -n 20000 /bin/echo | wc -c");
  EXPECT_EQ(list, "108894\n");
}

TEST(ExecLimitTest, BigEnvironment) {
  std::string script =
      "i=0; while [ $i -lt 500 ]; do export V$i=$(printf %0100d $i); i=$((i+1)); done; env | grep "
      "-c '^V'";
  EXPECT_EQ(Output(script), "500\n");
}

}  // namespace
