#include "sentry/loader/loader.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>

#include "platform/base/strings.h"
#include "sentry/fs/testing/vfs_fixture.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/loader/script.h"
#include "sentry/mm/fake_platform.h"

namespace runsc {
namespace {

constexpr uint64_t kBase = 0x400000;
constexpr size_t kFileSize = 3 * kPageSize;

// A program that exits with 0: headers and code in the first page, data in the second, some bss.
struct TestElf {
  TestElf() {
    std::memcpy(header.e_ident, ELFMAG "\2\1\1", 7);
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = 1;
    header.e_entry = kBase + 0x800;
    header.e_phoff = sizeof(header);
    header.e_ehsize = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    segments.push_back({PT_LOAD, PF_R | PF_X, 0, kBase, kBase, kPageSize, kPageSize, kPageSize});
    segments.push_back({PT_LOAD, PF_R | PF_W, kPageSize, kBase + kPageSize, kBase + kPageSize, 0x500,
                        0x3000, kPageSize});
    segments.push_back({PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16});
  }
  TestElf& Pie() {
    header.e_type = ET_DYN;
    header.e_entry -= kBase;
    for (Elf64_Phdr& p : segments) {
      if (p.p_type == PT_LOAD) p.p_vaddr -= kBase;
    }
    return *this;
  }
  TestElf& Interp(const std::string& path) {
    interp = path;
    segments.insert(segments.begin(), {PT_INTERP, PF_R, 0x600, 0x600, 0x600, path.size() + 1,
                                       path.size() + 1, 1});
    return *this;
  }
  std::string Bytes() const {
    std::string out(kFileSize, '\xcc');
    Elf64_Ehdr h = header;
    h.e_phnum = static_cast<uint16_t>(segments.size());
    std::memcpy(out.data(), &h, sizeof(h));
    std::memcpy(out.data() + sizeof(h), segments.data(), segments.size() * sizeof(Elf64_Phdr));
    std::memcpy(out.data() + 0x600, interp.c_str(), interp.size() + 1);
    const unsigned char code[] = {0x31, 0xff, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05};  // exit_group(0)
    std::memcpy(out.data() + 0x800, code, sizeof(code));
    return out;
  }
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;
  std::string interp;
};

// Whether the file asks for fixed addresses below 64 KiB.
bool MapsLow(const std::string& bytes) {
  Elf64_Ehdr h;
  std::memcpy(&h, bytes.data(), sizeof(h));
  for (size_t i = 0; h.e_type == ET_EXEC && i < h.e_phnum && i < 5; ++i) {
    Elf64_Phdr p;
    std::memcpy(&p, bytes.data() + sizeof(h) + i * sizeof(p), sizeof(p));
    if (p.p_type == PT_LOAD && p.p_vaddr < 0x10000) return true;
  }
  return false;
}

// The headers, for a failure's text.
std::string Describe(const std::string& bytes) {
  Elf64_Ehdr h;
  std::memcpy(&h, bytes.data(), sizeof(h));
  std::string out = StrPrintf("type %d entry %#lx phoff %#lx phnum %d\n", h.e_type, h.e_entry,
                              h.e_phoff, h.e_phnum);
  for (size_t i = 0; i < 5; ++i) {
    Elf64_Phdr p;
    std::memcpy(&p, bytes.data() + sizeof(h) + i * sizeof(p), sizeof(p));
    out += StrPrintf("  type %#x flags %x off %#lx va %#lx filesz %#lx memsz %#lx align %#lx\n",
                     p.p_type, p.p_flags, p.p_offset, p.p_vaddr, p.p_filesz, p.p_memsz, p.p_align);
  }
  return out;
}

class LoaderTest : public VfsTest {
 protected:
  void SetUp() override {
    memory_ = MemoryFile::Create(uint64_t{8} << 30);
    MountRoot(Tmpfs::New(*memory_, {}));
    loader_ = std::move(Loader::Create(platform_, *memory_, 2)).value();
    char name[] = "/tmp/loader-test-XXXXXX";
    dir_ = mkdtemp(name);
    Mkdir("/tmp");
    Mkdir(dir_);
  }
  void TearDown() override {
    for (const auto& [name, size] : files_) unlink(name.c_str());
    rmdir(dir_.c_str());
    loader_.reset();
    VfsTest::TearDown();
  }

  // The same file for the host and for us.
  std::string Put(const std::string& name, const std::string& bytes, uint32_t mode = 0755) {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    chmod(path.c_str(), mode);
    EXPECT_EQ(Write(path, bytes), Errno::kOk);
    EXPECT_EQ(Chmod(path, mode), Errno::kOk);
    files_[path] = bytes.size();
    return path;
  }

  LoadRequest Request(const std::string& path, std::vector<std::string> argv = {"prog", "arg"}) {
    return {.op = op_,
            .fs = fs_,
            .start = fs_->cwd(),
            .filename = path,
            .argv = std::move(argv),
            .envv = {"A=1", "BB=22"}};
  }
  ErrnoOr<LoadedProgram> Load(const std::string& path) { return loader_->Load(Request(path)); }
  int Ours(const LoadRequest& request) {
    ErrnoOr<LoadedProgram> p = loader_->Load(request);
    if (p.ok()) p->mm->CheckConsistency();
    return static_cast<int>(p.error());
  }

  // What execve(2) of this host answers: an errno, or 0 if the program ran (or died in loading).
  static int Native(const LoadRequest& request, bool* killed = nullptr) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) abort();
    const pid_t child = fork();
    if (child == 0) {
      const rlimit cpu{1, 1}, core{0, 0};
      setrlimit(RLIMIT_CPU, &cpu);
      setrlimit(RLIMIT_CORE, &core);
      alarm(2);
      std::vector<char*> argv, envv;
      for (const std::string& s : request.argv) argv.push_back(const_cast<char*>(s.c_str()));
      for (const std::string& s : request.envv) envv.push_back(const_cast<char*>(s.c_str()));
      argv.push_back(nullptr);
      envv.push_back(nullptr);
      execve(request.filename.c_str(), argv.data(), envv.data());
      const int error = errno;
      if (write(fds[1], &error, sizeof(error)) < 0) abort();
      _exit(1);
    }
    close(fds[1]);
    int error = 0;
    if (read(fds[0], &error, sizeof(error)) != sizeof(error)) error = 0;
    close(fds[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (killed != nullptr) *killed = WIFSIGNALED(status);
    return error;
  }
  void ExpectAsNative(const std::string& path) {
    const LoadRequest request = Request(path);
    EXPECT_EQ(Ours(request), Native(request)) << path;
  }

  static uint64_t Aux(const LoadedProgram& p, uint64_t key) {
    const ImageLayout layout = p.mm->layout();
    for (size_t i = 0; i + 1 < layout.auxv.size(); i += 2) {
      if (layout.auxv[i] == key) return layout.auxv[i + 1];
    }
    ADD_FAILURE() << "no auxv entry " << key;
    return 0;
  }
  static std::string String(const LoadedProgram& p, uint64_t at) {
    return p.mm->GetString(UserAddr(at), 4096).value_or("!");
  }
  static uint64_t Word(const LoadedProgram& p, uint64_t at) {
    return p.mm->Get<uint64_t>(UserAddr(at)).value_or(~uint64_t{0});
  }

  FakePlatform platform_;
  std::unique_ptr<MemoryFile> memory_;
  std::unique_ptr<Loader> loader_;
  std::string dir_;
  std::map<std::string, size_t> files_;
};

TEST_F(LoaderTest, StaticProgramIsLaidOut) {
  const std::string path = Put("static", TestElf().Bytes());
  LoadedProgram p = std::move(Load(path)).value();
  EXPECT_EQ(p.regs.pc(), kBase + 0x800);
  EXPECT_EQ(p.regs.sp() % 16, 0u);
  EXPECT_EQ(p.comm, "static");
  EXPECT_TRUE(p.dumpable);
  uint64_t sp = p.regs.sp();
  EXPECT_EQ(Word(p, sp), 2u);
  EXPECT_EQ(String(p, Word(p, sp + 8)), "prog");
  EXPECT_EQ(String(p, Word(p, sp + 16)), "arg");
  EXPECT_EQ(Word(p, sp + 24), 0u);
  EXPECT_EQ(String(p, Word(p, sp + 32)), "A=1");
  EXPECT_EQ(String(p, Word(p, sp + 40)), "BB=22");
  EXPECT_EQ(Word(p, sp + 48), 0u);
  EXPECT_EQ(Word(p, sp + 56), static_cast<uint64_t>(AT_SYSINFO_EHDR));
  EXPECT_EQ(Aux(p, AT_PHDR), kBase + sizeof(Elf64_Ehdr));
  EXPECT_EQ(Aux(p, AT_PHNUM), 3u);
  EXPECT_EQ(Aux(p, AT_ENTRY), kBase + 0x800);
  EXPECT_EQ(Aux(p, AT_BASE), 0u);
  EXPECT_EQ(Aux(p, AT_SECURE), 0u);
  EXPECT_EQ(String(p, Aux(p, AT_EXECFN)), path);
  EXPECT_EQ(String(p, Aux(p, AT_PLATFORM)), "x86_64");
  EXPECT_NE(Word(p, Aux(p, AT_RANDOM)), 0u);
  EXPECT_EQ(Word(p, Aux(p, AT_SYSINFO_EHDR)) & 0xffffffff, 0x464c457fu);
  // File data, then zeros to the end of the bss.
  EXPECT_EQ(Word(p, kBase + kPageSize), 0xccccccccccccccccu);
  EXPECT_EQ(Word(p, kBase + kPageSize + 0x500), 0u);
  EXPECT_EQ(Word(p, kBase + 0x3ff8), 0u);
  EXPECT_EQ(Word(p, kBase + 0x4000), ~uint64_t{0});
  EXPECT_GE(p.mm->layout().start_brk, kBase + 0x4000);
  EXPECT_EQ(p.mm->layout().start_code, kBase);
}

TEST_F(LoaderTest, WithoutRandomizationAddressesAreFixed) {
  const std::string path = Put("static", TestElf().Bytes());
  LoadRequest request = Request(path);
  request.randomize = false;
  LoadedProgram a = std::move(loader_->Load(request)).value();
  LoadedProgram b = std::move(loader_->Load(request)).value();
  EXPECT_EQ(a.regs.sp(), b.regs.sp());
  EXPECT_EQ(a.mm->layout().start_brk, kBase + 0x4000);
  LoadedProgram c = std::move(Load(path)).value();
  EXPECT_NE(a.regs.sp(), c.regs.sp());
}

TEST_F(LoaderTest, InterpreterGetsControl) {
  const std::string ld = Put("ld", TestElf().Pie().Bytes());
  const std::string path = Put("dyn", TestElf().Pie().Interp(ld).Bytes());
  LoadedProgram p = std::move(Load(path)).value();
  EXPECT_EQ(p.regs.pc(), Aux(p, AT_BASE) + 0x800);
  EXPECT_NE(Aux(p, AT_ENTRY), p.regs.pc());
  EXPECT_EQ(Aux(p, AT_ENTRY) % kPageSize, 0x800u);
  EXPECT_EQ(Aux(p, AT_PHNUM), 4u);
  const uint64_t image = Aux(p, AT_PHDR) - sizeof(Elf64_Ehdr);
  EXPECT_GT(p.mm->layout().start_brk, image);
  EXPECT_LT(p.mm->layout().start_brk - image, uint64_t{64} << 20);
}

TEST_F(LoaderTest, StackIsExecutableOnlyIfAsked) {
  for (uint32_t flags : {PF_R | PF_W, PF_R | PF_W | PF_X}) {
    TestElf elf;
    elf.segments[2].p_flags = flags;
    LoadedProgram p = std::move(Load(Put("prog", elf.Bytes()))).value();
    bool found = false;
    for (const VmaInfo& v : p.mm->ListVmas(false)) {
      if (!v.range.Contains(p.regs.sp())) continue;
      found = true;
      EXPECT_EQ(v.access.exec, (flags & PF_X) != 0);
      EXPECT_TRUE(v.grows_down);
      EXPECT_GE(v.range.size(), uint64_t{128} << 10);
    }
    EXPECT_TRUE(found);
  }
}

TEST_F(LoaderTest, ScriptsRunTheirInterpreter) {
  const std::string ld = Put("interp", TestElf().Bytes());
  const std::string script = Put("script", "#! " + ld + "  two words \nbody");
  LoadedProgram p = std::move(Load(script)).value();
  const uint64_t sp = p.regs.sp();
  EXPECT_EQ(Word(p, sp), 4u);
  EXPECT_EQ(String(p, Word(p, sp + 8)), ld);
  EXPECT_EQ(String(p, Word(p, sp + 16)), "two words");
  EXPECT_EQ(String(p, Word(p, sp + 24)), script);
  EXPECT_EQ(String(p, Word(p, sp + 32)), "arg");
  EXPECT_EQ(p.comm, "script");
  EXPECT_EQ(String(p, Aux(p, AT_EXECFN)), script);
}

TEST_F(LoaderTest, RunningProgramsDenyWriting) {
  const std::string path = Put("prog", TestElf().Bytes());
  {
    LoadedProgram p = std::move(Load(path)).value();
    EXPECT_EQ(Write(path, "x"), Errno::kTxtbsy);
    auto* file = dynamic_cast<File*>(p.mm->executable().get());
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(vfs::PathName(file->path(), Path()), path);
  }
  ErrnoOr<Ref<File>> writer = Open(path, O_WRONLY);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(Load(path).error(), Errno::kTxtbsy);
}

// Every answer here is compared with this host's execve(2).
TEST_F(LoaderTest, ErrorsAreTheHosts) {
  const std::string good = Put("good", TestElf().Bytes());
  const std::string text = Put("text", "hello\n");
  ExpectAsNative(good);
  ExpectAsNative(dir_ + "/missing");
  ExpectAsNative(dir_);
  ExpectAsNative(good + "/x");
  ExpectAsNative("");
  ExpectAsNative(text);
  ExpectAsNative(Put("empty", ""));
  ExpectAsNative(Put("short", "\177ELF"));
  ExpectAsNative(Put("cut", TestElf().Bytes().substr(0, 80)));
  ExpectAsNative(Put("half", TestElf().Bytes().substr(0, kPageSize + 10)));
  ExpectAsNative(Put("noexec", TestElf().Bytes(), 0644));
  ExpectAsNative(Put("execonly", TestElf().Bytes(), 0111));
  ExpectAsNative(Put("i1", TestElf().Interp(dir_ + "/missing").Bytes()));
  ExpectAsNative(Put("i2", TestElf().Interp(text).Bytes()));
  ExpectAsNative(Put("i3", TestElf().Interp(dir_).Bytes()));
  ExpectAsNative(Put("i4", TestElf().Interp(Put("tiny", "\177ELF")).Bytes()));
  ExpectAsNative(Put("i5", TestElf().Interp(dir_ + "/noexec").Bytes()));
  const std::string rel = Put("rel", [] { TestElf e; e.header.e_type = ET_REL; return e.Bytes(); }());
  ExpectAsNative(rel);
  ExpectAsNative(Put("i6", TestElf().Pie().Interp(rel).Bytes()));
}

TEST_F(LoaderTest, ScriptLinesAreReadAsTheHostDoes) {
  const std::string good = Put("good", TestElf().Bytes());
  const std::string long_name = dir_ + "/" + std::string(300, 'a');
  const std::string pad(240 - good.size(), ' ');
  const std::string nul(1, '\0');
  int n = 0;
  for (const std::string& line : std::vector<std::string>{
           "#!" + good, "#!" + good + "\n", "#! \t" + good + "\t\n", "#!" + good + " -a b\n",
           std::string("#!"), std::string("#!\n"), std::string("#!   \n"), std::string("#!   "),
           "#!" + long_name, "#!" + long_name + "\n", "#!" + std::string(300, ' '),
           "#!" + pad + good, "#!" + pad + good + " x", "#!" + pad + good + "          z",
           "#!" + pad + good + "\n", "#!" + good + " " + std::string(300, 'x'),
           "#!" + good + " " + std::string(300, 'x') + "\n", "#!" + nul + "\n",
           "#!" + good + nul + "junk\n", "#!" + good + " a" + nul + "b\n", "#!relative\n",
           "#!" + dir_ + "\n", "#!/missing\n", std::string("# !/bin/sh\n"), std::string("#"),
           "#!" + good + "\r\n"}) {
    ExpectAsNative(Put("s" + std::to_string(n++), line));
  }
}

TEST_F(LoaderTest, ScriptChainsEndWhereTheHostsDo) {
  std::string inner = Put("good", TestElf().Bytes());
  for (int i = 0; i < 8; ++i) {
    inner = Put("chain" + std::to_string(i), "#!" + inner + "\n");
    ExpectAsNative(inner);
  }
  const std::string self = dir_ + "/self";
  ExpectAsNative(Put("self", "#!" + self + "\n"));
}

TEST_F(LoaderTest, ArgumentLimitsAreTheHosts) {
  const std::string good = Put("good", TestElf().Bytes());
  rlimit stack{};
  getrlimit(RLIMIT_STACK, &stack);
  for (size_t size : {size_t{131070}, size_t{131071}, size_t{131072}, size_t{131073}}) {
    LoadRequest request = Request(good, {"a", std::string(size, 'x')});
    EXPECT_EQ(Ours(request), Native(request)) << size;
  }
  auto total = [&](size_t count, size_t size) {
    LoadRequest request = Request(good, std::vector<std::string>(count, std::string(size, 'y')));
    request.stack_limit = stack.rlim_cur;
    EXPECT_EQ(Ours(request), Native(request)) << count << " of " << size;
  };
  for (size_t count : {15, 16, 17, 20, 47, 48, 49}) total(count, 131071);
  for (size_t count : {190000, 200000, 210000, 220000, 240000}) total(count, 1);
  // Narrow down where the limit is, to the byte.
  for (size_t size = 130900; size < 131072; size += 17) {
    std::vector<std::string> argv(15, std::string(131071, 'y'));
    argv.push_back(std::string(size, 'z'));
    LoadRequest request = Request(good, argv);
    request.stack_limit = stack.rlim_cur;
    EXPECT_EQ(Ours(request), Native(request)) << size;
  }
}

TEST_F(LoaderTest, NoFollowAndVanishingScripts) {
  const std::string good = Put("good", TestElf().Bytes());
  ASSERT_EQ(Symlink(good, dir_ + "/link"), Errno::kOk);
  LoadRequest request = Request(dir_ + "/link");
  EXPECT_EQ(Ours(request), 0);
  request.no_follow = true;
  EXPECT_EQ(Ours(request), ELOOP);
  LoadRequest by_fd = Request("/dev/fd/3");
  by_fd.file = *Open(Put("script", "#!" + good + "\n"), O_RDONLY);
  EXPECT_EQ(Ours(by_fd), 0);
  by_fd.fd_is_cloexec = true;
  EXPECT_EQ(Ours(by_fd), ENOENT);
}

TEST_F(LoaderTest, FailuresBeyondThePointOfNoReturnKill) {
  TestElf elf;
  elf.segments[0].p_vaddr += 0x10;  // not congruent with its offset
  const std::string path = Put("bad", elf.Bytes());
  bool killed = false;
  EXPECT_EQ(Native(Request(path), &killed), 0);
  EXPECT_TRUE(killed);
  LoadedProgram p = std::move(Load(path)).value();
  EXPECT_EQ(p.regs.pc(), 0u);
  EXPECT_TRUE(p.mm->ListVmas(false).empty());
}

// Damages headers at random: nothing may crash, and execve(2)'s answer is the host's.
TEST_F(LoaderTest, DamagedHeadersAnswerAsTheHost) {
  std::mt19937_64 rng(11);
  const std::string ld = Put("ld", TestElf().Pie().Bytes());
  const uint64_t values[] = {0, 1, 0xfff, 0x1000, 0x7ffffffff000, 0x800000000000, ~uint64_t{0},
                             ~uint64_t{0xfff}, 0x1001, uint64_t{1} << 63, 0x400000, 0x200000};
  int differ = 0;
  for (int i = 0; i < 250; ++i) {
    TestElf elf;
    if (rng() % 2 == 0) elf.Pie();
    if (rng() % 3 == 0) elf.Interp(ld);
    std::string bytes = elf.Bytes();
    const size_t headers = sizeof(Elf64_Ehdr) + elf.segments.size() * sizeof(Elf64_Phdr);
    for (uint64_t n = 1 + rng() % 2; n > 0; --n) {
      if (rng() % 2 == 0) {
        const uint64_t value = values[rng() % std::size(values)];
        std::memcpy(bytes.data() + rng() % (headers / 8) * 8, &value, 8);
      } else {
        bytes[rng() % headers] = static_cast<char>(rng());
      }
    }
    const std::string path = Put("damaged", bytes);
    const LoadRequest request = Request(path);
    bool killed = false;
    const int native = Native(request, &killed);
    const int ours = Ours(request);
    if (ours != native) {
      ++differ;
      ADD_FAILURE() << "round " << i << ": ours " << ours << ", host " << native << "\n"
                    << Describe(bytes);
    }
    const bool doomed = ours == 0 && loader_->Load(request)->regs.pc() == 0;
    // Root on the host may map below vm.mmap_min_addr; our guests never do.
    if (doomed && !killed && !MapsLow(bytes)) {
      ADD_FAILURE() << "killed by us only, round " << i << "\n" << Describe(bytes);
    }
  }
  EXPECT_EQ(differ, 0);
  EXPECT_LT(memory_->AllocatedBytes(), uint64_t{64} << 20);
}

TEST_F(LoaderTest, RandomBytesAreHarmless) {
  std::mt19937_64 rng(5);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = TestElf().Bytes().substr(0, 256 + rng() % 400);
    for (uint64_t n = rng() % 60; n > 0; --n) {
      bytes[4 + rng() % (bytes.size() - 4)] = static_cast<char>(rng());
    }
    (void)Ours(Request(Put("random", bytes)));
  }
}

}  // namespace
}  // namespace runsc
