#include "sentry/loader/loader.h"

#include <elf.h>

#include <algorithm>
#include <utility>

#include "platform/arch/auxv.h"
#include "platform/base/random.h"
#include "sentry/loader/elf_image.h"
#include "sentry/loader/exec_file.h"
#include "sentry/loader/script.h"
#include "sentry/loader/stack.h"
#include "sentry/loader/vdso_pages.h"

namespace runsc {
namespace {

constexpr int kMaxScripts = 5;  // in a chain; more is ELOOP
constexpr uint32_t kNoSuid = 2;  // MS_NOSUID
constexpr uint64_t kClockTicks = 100;
constexpr size_t kCommSize = 15;

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

// What is known of a program before its memory is made.
struct Program {
  ExecFile file;
  ElfImage image;
  std::optional<ExecFile> interpreter;
  ElfImage interpreter_image;
  ProgramStrings strings;
  bool readable = true;  // by the one who executes, with all scripts and the interpreter
};

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Follows #! lines to the binary that runs in the end; argv grows on the way.
ErrnoOr<ExecFile> ResolveScripts(const LoadRequest& request, Program& program) {
  ExecFile file = request.file ? TRY(ExecFile::Adopt(request, request.file))
                               : TRY(ExecFile::Open(request, request.filename, !request.no_follow));
  TRY(CheckStrings(program.strings, request.stack_limit));
  std::string name = program.strings.filename;
  std::vector<std::string>& argv = program.strings.argv;
  for (int depth = 0;; ++depth) {
    program.readable = program.readable && file.readable();
    const std::optional<ScriptLine> line = ParseScript(TRY(file.ReadHead()));
    if (!line) return file;
    if (request.fd_is_cloexec) return Errno::kNoent;
    std::vector<std::string> head{line->interpreter};
    if (line->argument) head.push_back(*line->argument);
    head.push_back(name);
    argv.erase(argv.begin());
    argv.insert(argv.begin(), head.begin(), head.end());
    TRY(CheckStrings(program.strings, request.stack_limit));
    file = TRY(ExecFile::OpenInterpreter(request, line->interpreter));
    name = line->interpreter;
    if (depth == kMaxScripts) return Errno::kLoop;
  }
}

ErrnoOr<Program> Prepare(const LoadRequest& request) {
  Program p;
  p.strings = {request.told.empty() ? request.filename : request.told, request.argv, request.envv};
  // An empty argv would make argv[1] alias the environment; Linux puts an empty string there.
  if (p.strings.argv.empty()) p.strings.argv.emplace_back();
  p.file = TRY(ResolveScripts(request, p));
  p.image = TRY(ReadElf(p.file, Errno::kNoexec));
  const std::optional<std::string> name = TRY(ReadInterpreter(p.file, p.image));
  if (name) {
    p.interpreter = TRY(ExecFile::OpenInterpreter(request, *name));
    p.readable = p.readable && p.interpreter->readable();
    p.interpreter_image = TRY(ReadElf(*p.interpreter, Errno::kLibbad));
  }
  return p;
}

struct Placements {
  ElfPlacement program;
  ElfPlacement interpreter;
  uint64_t vdso = 0;
};

StackBuilder::AuxVector AuxVectorOf(const Program& p, const Placements& at,
                                    const Credentials& creds, bool secure) {
  const UserNamespace& ns = *creds.user_ns;
  auto id = [](uint32_t inside) -> uint64_t { return inside == kNoId ? kOverflowId : inside; };
  // In Linux's order. AT_RSEQ_* are left out as long as rseq(2) is ENOSYS.
  return {{AT_SYSINFO_EHDR, at.vdso},
          {AT_MINSIGSTKSZ, arch::MinSigStackSize()},
          {AT_HWCAP, arch::Hwcap()},
          {AT_PAGESZ, kPageSize},
          {AT_CLKTCK, kClockTicks},
          {AT_PHDR, at.program.headers},
          {AT_PHENT, sizeof(Elf64_Phdr)},
          {AT_PHNUM, p.image.header.e_phnum},
          {AT_BASE, p.interpreter ? at.interpreter.bias : 0},
          {AT_FLAGS, 0},
          {AT_ENTRY, at.program.entry},
          {AT_UID, id(ns.UidFromKernel(creds.ruid))},
          {AT_EUID, id(ns.UidFromKernel(creds.euid))},
          {AT_GID, id(ns.GidFromKernel(creds.rgid))},
          {AT_EGID, id(ns.GidFromKernel(creds.egid))},
          {AT_SECURE, secure ? 1U : 0U},
          {AT_RANDOM, 0},
          {AT_HWCAP2, arch::Hwcap2()},
          {AT_EXECFN, 0},
          {AT_PLATFORM, 0}};
}

// Where the heap begins: after the program, but for one that is run without its interpreter's
// help (the dynamic loader itself), whose neighbours are the mappings it will make.
UserAddr BrkStart(MemoryManager& mm, const Program& p, const ElfPlacement& at, bool randomize) {
  UserAddr end(PageUp(at.end));
  if (randomize && p.image.position_independent() && !p.interpreter) {
    end = mm.ChoosePieBase(false);
  }
  return mm.ChooseBrkStart(end, randomize);
}

StackBuilder::Random MakeRandom(bool randomize) {
  StackBuilder::Random r;
  HostRandom(r.bytes.data(), r.bytes.size());
  if (randomize) {
    HostRandom(&r.shift, sizeof(r.shift));
    r.shift %= 8192;
  }
  return r;
}

// Fills the empty address space `mm`. Errors kill the program.
ErrnoOr<arch::Registers> Build(MemoryManager& mm, const LoadRequest& request, const Program& p,
                               const Ref<Mappable>& vdso, const Credentials& creds, bool secure) {
  MemoryLimits limits;
  limits.stack = request.stack_limit;
  mm.SetLayout(request.randomize, request.stack_limit);
  mm.SetExecutable(p.file.executable());
  StackBuilder stack =
      TRY(StackBuilder::Create(mm, p.strings, mm.ChooseStackTop(request.randomize),
                               p.image.wants_exec_stack(), limits));
  Placements at;
  const ElfMapOptions options{.has_interpreter = p.interpreter.has_value(),
                              .is_interpreter = false,
                              .randomize = request.randomize,
                              .limits = limits};
  at.program = TRY(MapElf(mm, p.file, p.image, options));
  uint64_t entry = at.program.entry;
  if (p.interpreter) {
    ElfMapOptions inner = options;
    inner.is_interpreter = true;
    inner.has_interpreter = false;
    at.interpreter = TRY(MapElf(mm, *p.interpreter, p.interpreter_image, inner));
    entry = at.interpreter.entry;
  }
  at.vdso = TRY(MapVdso(mm, vdso, limits)).value;

  ImageLayout layout;
  const UserAddr sp = TRY(stack.Finish(mm, AuxVectorOf(p, at, creds, secure),
                                       MakeRandom(request.randomize), layout));
  layout.start_code = at.program.start_code;
  layout.end_code = at.program.end_code;
  layout.start_data = at.program.start_data;
  layout.end_data = at.program.end_data;
  layout.vdso = at.vdso;
  const UserAddr brk = BrkStart(mm, p, at.program, request.randomize);
  layout.start_brk = brk.value;
  mm.SetBrkStart(brk);
  mm.SetImageLayout(layout);
  return arch::InitialRegisters(entry, sp.value);
}

}  // namespace

ErrnoOr<std::unique_ptr<Loader>> Loader::Create(platform::Platform& platform, MemoryFile& memory,
                                                uint32_t cpus) {
  Ref<Mappable> vdso = TRY(NewVdsoPages(memory, cpus));
  return std::unique_ptr<Loader>(new Loader(platform, memory, std::move(vdso)));
}

Loader::~Loader() = default;

ErrnoOr<LoadedProgram> Loader::Load(const LoadRequest& request) {
  Program p = TRY(Prepare(request));
  LoadedProgram out;
  const Attr attr = TRY(p.file.path().dentry->get_inode()->GetAttr());
  const bool suid = request.allow_suid && (p.file.path().mount->flags() & kNoSuid) == 0;
  out.creds = ExecCredentials(request.op.creds, attr, suid, &out.secure);
  out.dumpable = p.readable && !out.secure;
  const std::string comm = request.file ? BaseName(vfs::PathName(request.file->path(), Path()))
                                        : BaseName(request.filename);
  out.comm = comm.substr(0, kCommSize);
  out.mm = TRY(MemoryManager::Create(platform_, memory_));
  out.mm->BeginBatch();
  ErrnoOr<arch::Registers> regs = Build(*out.mm, request, p, vdso_, *out.creds, out.secure);
  const Status shown = out.mm->EndBatch();
  if (regs.ok() && shown.ok()) {
    out.regs = *regs;
    return out;
  }
  // Beyond Linux's point of no return: the program is there, and dies at its first instruction.
  out.mm->Clear();
  out.regs = arch::InitialRegisters(0, 0);
  return out;
}

}  // namespace runsc
