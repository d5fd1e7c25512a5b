// Programs that are odd, scripts that nest, limits of arguments, credentials over exec.
#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "test/util/test_util.h"

namespace {
using namespace guest;

void PutProgram(const std::string& path, std::string_view content) {
  PutFile(path, content);
  CHECK_OR_DIE(chmod(path.c_str(), 0755) == 0);
}

// The errno of exec, or 0 if the program ran.
int ExecError(const std::string& path, std::vector<std::string> args = {"x"},
              std::string* output = nullptr) {
  int out[2], error[2];
  CHECK_OR_DIE(pipe(out) == 0 && pipe2(error, O_CLOEXEC) == 0);
  pid_t child = StartChild([&] {
    dup2(out[1], 1);
    close(out[0]);
    close(out[1]);
    std::vector<char*> argv;
    for (auto& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    char* envp[] = {nullptr};
    execve(path.c_str(), argv.data(), envp);
    int e = errno;
    write(error[1], &e, sizeof e);
    return 1;
  });
  close(out[1]);
  close(error[1]);
  int e = 0;
  if (read(error[0], &e, sizeof e) <= 0) e = 0;
  char buffer[4096];
  for (ssize_t n; (n = read(out[0], buffer, sizeof buffer)) > 0;) {
    if (output) output->append(buffer, n);
  }
  close(out[0]);
  close(error[0]);
  WaitFor(child);
  return e;
}

TEST(ScriptTest, ArgumentIsOneAndTrimmed) {
  TempDir dir;
  PutProgram(dir / "s", "#!  /bin/echo   one  two \t\nrest");
  std::string out;
  EXPECT_EQ(ExecError(dir / "s", {"zero", "a", "b c"}, &out), 0);
  EXPECT_EQ(out, "one  two " + (dir / "s") + " a b c\n");
  out.clear();
  PutProgram(dir / "t", "#!/bin/echo");  // no newline at all
  EXPECT_EQ(ExecError(dir / "t", {"zero"}, &out), 0);
  EXPECT_EQ(out, (dir / "t") + "\n");
}

TEST(ScriptTest, NestingAndErrors) {
  TempDir dir;
  PutProgram(dir / "s0", "#!/bin/echo 0\n");
  for (int i = 1; i <= 6; i++) {
    PutProgram(dir / ("s" + std::to_string(i)),
               "#!" + (dir / ("s" + std::to_string(i - 1))) + "\n");
  }
  EXPECT_EQ(ExecError(dir / "s4"), 0);
  EXPECT_EQ(ExecError(dir / "s5"), ELOOP);
  PutProgram(dir / "self", "#!" + (dir / "self") + "\n");
  EXPECT_EQ(ExecError(dir / "self"), ELOOP);
  PutProgram(dir / "gone", "#!/does/not/exist\n");
  EXPECT_EQ(ExecError(dir / "gone"), ENOENT);
  PutProgram(dir / "empty", "#!\n");
  EXPECT_EQ(ExecError(dir / "empty"), ENOEXEC);
  PutProgram(dir / "blank", "#!   \n/bin/echo\n");
  EXPECT_EQ(ExecError(dir / "blank"), ENOEXEC);
  PutProgram(dir / "long", "#!/" + std::string(300, 'a') + "\n");
  EXPECT_EQ(ExecError(dir / "long"), ENOEXEC);
  // A long argument is cut, a long path is not run.
  PutProgram(dir / "cut", "#!/bin/echo " + std::string(400, 'b') + "\n");
  std::string out;
  EXPECT_EQ(ExecError(dir / "cut", {"x"}, &out), 0);
  EXPECT_EQ(out.find_first_not_of('b'), 243u);
  PutFile(dir / "noexec", "#!/bin/echo\n");
  EXPECT_EQ(ExecError(dir / "noexec"), EACCES);
  PutProgram(dir / "dirint", "#!/tmp\n");
  EXPECT_EQ(ExecError(dir / "dirint"), EACCES);
  PutProgram(dir / "nothing", "");
  EXPECT_EQ(ExecError(dir / "nothing"), ENOEXEC);
  PutProgram(dir / "text", "hello\n");
  EXPECT_EQ(ExecError(dir / "text"), ENOEXEC);
}

struct Elf {
  Elf64_Ehdr header = {};
  Elf64_Phdr program[4] = {};
  int count = 0;
  std::string interp;
  std::string code;
  Elf() {
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = 1;
    header.e_phoff = sizeof header;
    header.e_ehsize = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    // exit(42)
    code.assign("\xbf\x2a\0\0\0\xb8\x3c\0\0\0\x0f\x05", 12);
    Add({PT_LOAD, PF_R | PF_X, 0, 0x400000, 0x400000, 4096, 4096, 4096});
    header.e_entry = 0x400000 + 1024;
  }
  void Add(Elf64_Phdr p) { program[count++] = p; }
  std::string Bytes() {
    header.e_phnum = count;
    std::string out(4096, '\0');
    memcpy(out.data(), &header, sizeof header);
    memcpy(out.data() + sizeof header, program, sizeof program);
    out.replace(1024, code.size(), code);
    out.replace(2048, interp.size(), interp);
    return out;
  }
};

// The exit code, or minus the signal, or 1000 + errno.
int RunElf(Elf& elf) {
  TempDir dir;
  PutProgram(dir / "p", elf.Bytes());
  int error = ExecError(dir / "p");
  if (error != 0) return 1000 + error;
  int status = InChild([&] {
    execl((dir / "p").c_str(), "p", nullptr);
    return 1;
  });
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(ElfTest, SmallestProgramRuns) {
  Elf elf;
  EXPECT_EQ(RunElf(elf), 42);
  Elf pie;
  pie.header.e_type = ET_DYN;
  pie.program[0].p_vaddr = 0;
  pie.header.e_entry = 1024;
  EXPECT_EQ(RunElf(pie), 42);
}

TEST(ElfTest, BadHeaders) {
  auto run = [](auto change) {
    Elf elf;
    change(elf);
    return RunElf(elf);
  };
  EXPECT_EQ(run([](Elf& e) { e.header.e_machine = EM_ARM; }), 1000 + ENOEXEC);
  EXPECT_EQ(run([](Elf& e) { e.header.e_type = ET_REL; }), 1000 + ENOEXEC);
  EXPECT_EQ(run([](Elf& e) { e.header.e_phentsize = 7; }), 1000 + ENOEXEC);
  EXPECT_EQ(run([](Elf& e) { e.count = 0; }), 1000 + ENOEXEC);
  EXPECT_EQ(run([](Elf& e) { e.header.e_phoff = 1 << 30; }), 1000 + ENOEXEC);
  EXPECT_EQ(run([](Elf& e) { e.header.e_entry = 0x10; }), -SIGSEGV);
  EXPECT_EQ(run([](Elf& e) { e.code = "\x0f\x0b"; }), -SIGILL);
}

TEST(ElfTest, BadInterpreters) {
  auto run = [](std::string interp, size_t size) {
    Elf elf;
    elf.interp = std::move(interp);
    elf.Add({PT_INTERP, PF_R, 2048, 0x400800, 0x400800, size, size, 1});
    return RunElf(elf);
  };
  EXPECT_EQ(run("/does/not/exist", 16), 1000 + ENOENT);
  EXPECT_EQ(run("/does", 5), 1000 + ENOEXEC);  // not terminated
  EXPECT_EQ(run("x", 1), 1000 + ENOEXEC);
  EXPECT_EQ(run("/etc/passwd", 12), 1000 + EACCES);
  EXPECT_EQ(run("/bin", 5), 1000 + EACCES);
  EXPECT_EQ(run("/x", 8000), 1000 + ENOEXEC);
  TempDir dir;
  PutProgram(dir / "i", std::string(4096, 'x'));
  EXPECT_EQ(run((dir / "i"), (dir / "i").size() + 1), 1000 + ELIBBAD);
  PutProgram(dir / "j", "short");
  EXPECT_EQ(run((dir / "j"), (dir / "j").size() + 1), 1000 + EIO);
}

TEST(ElfTest, StackIsExecutableOnlyIfAsked) {
  // jmp *%rsp after pushing exit(42)
  for (unsigned flags : {PF_R | PF_W, PF_R | PF_W | PF_X}) {
    Elf elf;
    elf.code.assign(
        "\x48\xb8\xbf\x2a\0\0\0\x6a\x3c\x58"  // mov $…, %rax: mov $42,%edi; push $60; pop %rax
        "\x68\x0f\x05\0\0"                    // push $0x050f
        "\x50"                                // push %rax
        "\xff\xe4",                           // jmp *%rsp
        18);
    elf.Add({PT_GNU_STACK, flags, 0, 0, 0, 0, 0, 16});
    EXPECT_EQ(RunElf(elf), (flags & PF_X) != 0 ? 42 : -SIGSEGV);
  }
}

TEST(ArgumentLimitTest, OneStringAndAll) {
  std::string fits(131071, 'a'), big(131072, 'a');
  EXPECT_EQ(ExecError("/bin/true", {"x", fits}), 0);
  EXPECT_EQ(ExecError("/bin/true", {"x", big}), E2BIG);
  std::vector<std::string> many(80, fits);
  EXPECT_EQ(ExecError("/bin/true", many), E2BIG);  // 10 MiB: a quarter of the stack limit is 2 MiB
  EXPECT_CHILD_OK([&] {
    rlimit small = {1 << 20, 1 << 20};
    CHECK_OR_DIE(setrlimit(RLIMIT_STACK, &small) == 0);
    CHECK_OR_DIE(ExecError("/bin/true", {"x", fits}) == 0);
    CHECK_OR_DIE(ExecError("/bin/true", {"x", fits, fits, fits}) == E2BIG);
    return 0;
  });
}

TEST(ExecStateTest, WhatStays) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(umask(031) >= 0);
    CHECK_OR_DIE(setpriority(PRIO_PROCESS, 0, 3) == 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    raise(SIGUSR2);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, [](int) {});
    int out[2];
    CHECK_OR_DIE(pipe(out) == 0);
    CHECK_OR_DIE(dup2(out[1], 1) == 1);
    pid_t child = StartChild([] {
      raise(SIGUSR2);  // pending signals stay over exec, unlike over fork
      execl("/bin/cat", "cat", "/proc/self/status", nullptr);
      return 1;
    });
    CHECK_OR_DIE(WaitFor(child) == 0);
    char text[8192] = {};
    CHECK_OR_DIE(read(out[0], text, sizeof text - 1) > 0);
    for (const char* want :
         {"SigBlk:\t0000000000000800\n", "SigPnd:\t0000000000000800\n",
          "SigIgn:\t0000000000000001\n", "SigCgt:\t0000000000000000\n", "Umask:\t0031\n"}) {
      if (strstr(text, want) == nullptr) Die(__FILE__, __LINE__, want);
    }
    return 0;
  });
}

struct Caps {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  Caps() { CHECK_OR_DIE(Raw(SYS_capget, &header, data) == 0); }
  bool Set() { return Raw(SYS_capset, &header, data) == 0; }
};
// The value of a Cap line of a fresh program.
std::string CapLine(const char* name) {
  std::string command = std::string("grep ") + name + " /proc/self/status";
  FILE* f = popen(command.c_str(), "r");
  char line[128] = {};
  fgets(line, sizeof line, f);
  pclose(f);
  return std::string(line).substr(8, 16);
}

TEST(ExecCapabilityTest, RootGetsTheBoundingSet) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME) == 0);
    std::string bounding = CapLine("CapBnd:"), permitted = CapLine("CapPrm:");
    CHECK_OR_DIE(bounding == permitted && CapLine("CapEff:") == permitted);
    uint64_t value = std::stoull(permitted, nullptr, 16);
    CHECK_OR_DIE((value >> CAP_SYS_TIME & 1) == 0 && (value & 1) == 1);
    return 0;
  });
}

TEST(ExecCapabilityTest, UserLosesAllButAmbient) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_KEEPCAPS, 1) == 0 && setresuid(65534, 65534, 65534) == 0);
    Caps caps;
    caps.data[0].effective = caps.data[0].permitted;
    caps.data[0].inheritable = 1u << CAP_NET_RAW | 1u << CAP_CHOWN;
    CHECK_OR_DIE(caps.Set());
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
    char want[17];
    snprintf(want, sizeof want, "%016x", 1u << CAP_NET_RAW);
    CHECK_OR_DIE(CapLine("CapPrm:") == want && CapLine("CapEff:") == want);
    CHECK_OR_DIE(CapLine("CapAmb:") == want);
    snprintf(want, sizeof want, "%016x", 1u << CAP_NET_RAW | 1u << CAP_CHOWN);
    CHECK_OR_DIE(CapLine("CapInh:") == want);
    // Lowering the inheritable bit lowers the ambient one.
    caps.data[0].inheritable = 0;
    CHECK_OR_DIE(caps.Set());
    CHECK_OR_DIE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0) == 0);
    return 0;
  });
}

TEST(ExecCapabilityTest, NorootMakesRootAUser) {
  EXPECT_CHILD_OK([] {
    CHECK_OR_DIE(prctl(PR_SET_SECUREBITS, 1) == 0);  // SECBIT_NOROOT
    CHECK_OR_DIE(CapLine("CapEff:") == "0000000000000000");
    return 0;
  });
}

TEST(AuxvDetailTest, Entries) {
  EXPECT_EQ(getauxval(AT_PAGESZ), 4096u);
  EXPECT_EQ(getauxval(AT_CLKTCK), 100u);
  EXPECT_EQ(getauxval(AT_UID), getuid());
  EXPECT_EQ(getauxval(AT_EGID), getegid());
  EXPECT_EQ(getauxval(AT_SECURE), 0u);
  EXPECT_EQ(getauxval(AT_PHENT), 56u);
  EXPECT_NE(getauxval(AT_PHDR), 0u);
  EXPECT_NE(getauxval(AT_ENTRY), 0u);
  EXPECT_NE(getauxval(AT_RANDOM), 0u);
  EXPECT_NE(getauxval(AT_SYSINFO_EHDR), 0u);
  EXPECT_STREQ(reinterpret_cast<char*>(getauxval(AT_PLATFORM)), "x86_64");
  std::string name = reinterpret_cast<char*>(getauxval(AT_EXECFN));
  EXPECT_NE(name.find("exec_detail_test"), std::string::npos);
  EXPECT_NE(getauxval(AT_HWCAP), 0u);
  EXPECT_NE(getauxval(51 /* AT_MINSIGSTKSZ */), 0u);
}

}  // namespace
