#include "runsc/cli/help.h"

#include <cstdio>

#include "runsc/boot/platforms.h"
#include "runsc/cli/command.h"
#include "syscalls/table/table.h"

#ifndef RUNSC_VERSION
#define RUNSC_VERSION "release-20260801.0-runsc"
#endif

namespace runsc::cli {
namespace {

struct Section {
  Category category;
  const char* title;
};
constexpr Section kSections[] = {
    {Category::kOci, "Subcommands:"},
    {Category::kOther, "Subcommands for direct use:"},
    {Category::kDebug, "Subcommands for debug:"},
    {Category::kHelper, "Subcommands for helpers:"},
    {Category::kInternal, "Subcommands for internal use only:"},
    {Category::kTopic, "Help:"},
};

void PrintOverview() {
  std::puts("Usage: runsc <flags> <subcommand> <subcommand args>\n\n"
            "runsc runs containers on a kernel of its own, in user space.\n"
            "Use \"runsc help <subcommand>\" for a subcommand, \"runsc flags\" for global flags.\n");
  for (const Section& section : kSections) {
    std::puts(section.title);
    for (const CommandRow& row : Commands()) {
      if (row.category != section.category) continue;
      std::printf("\t%-16s %s%s\n", row.name, row.synopsis,
                  row.make == nullptr ? " (not in this release)" : "");
    }
    std::puts("");
  }
  std::puts("Additional help topics (use \"runsc help <topic>\"):\n"
            "\tplatforms        list the platforms and whether they work here\n"
            "\tsyscalls         list the system calls and how far they are supported");
}

void PrintPlatforms() {
  for (const boot::PlatformInfo& p : boot::ListPlatforms()) {
    std::printf("%-10s %s\n", p.name.c_str(), p.state.c_str());
  }
  std::puts("\nChoose one with --platform=NAME; auto takes the first that works.");
}

void PrintSyscalls() {
  constexpr const char* kSupport[] = {"full", "partial", "missing"};
  int count = 0;
  const SyscallRow* rows = SyscallRows(&count);
  int by_support[3] = {};
  std::printf("%-5s %-28s %-8s %s\n", "NUM", "NAME", "SUPPORT", "NOTE");
  for (int i = 0; i < count; ++i) {
    int support = static_cast<int>(rows[i].support);
    ++by_support[support];
    std::printf("%-5llu %-28s %-8s %s\n", static_cast<unsigned long long>(rows[i].number),
                rows[i].name, kSupport[support], rows[i].note == nullptr ? "" : rows[i].note);
  }
  std::printf("\n%d full, %d partial, %d missing\n", by_support[0], by_support[1], by_support[2]);
}

class HelpCommand : public Command {
 public:
  const char* arguments() const override { return "[<subcommand>|platforms|syscalls]"; }
  void Declare(FlagSet& set) override {
    set.Add("format", &format_, "output format of \"help syscalls\": table");
  }
  HostOr<int> Run(const Flags&, const std::vector<std::string>& args) override {
    TRY(WantArguments(args, 0, 1, "help [<subcommand>|platforms|syscalls]"));
    if (format_ != "table") return TextError("format %s is not supported", format_.c_str());
    if (PrintHelp(args.empty() ? "" : args[0])) return 0;
    return TextError("no help for \"%s\"; see \"runsc help\"", args[0].c_str());
  }

 private:
  std::string format_ = "table";
};

class FlagsCommand : public Command {
 public:
  const char* arguments() const override { return ""; }
  void Declare(FlagSet&) override {}
  HostOr<int> Run(const Flags&, const std::vector<std::string>&) override {
    PrintHelp("flags");
    return 0;
  }
};

}  // namespace

int PrintVersion() {
  std::printf("runsc version %s\nspec: 1.1.0\n", RUNSC_VERSION);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

bool PrintHelp(const std::string& topic) {
  if (topic.empty()) return PrintOverview(), true;
  if (topic == "platforms") return PrintPlatforms(), true;
  if (topic == "syscalls") return PrintSyscalls(), true;
  if (topic == "flags") {
    Flags flags;
    FlagSet set;
    AddGlobalFlags(set, &flags);
    std::fputs(set.Help().c_str(), stdout);
    return true;
  }
  const CommandRow* row = FindCommand(topic);
  if (row == nullptr) return false;
  std::printf("%s: %s\n", row->name, row->synopsis);
  if (row->make == nullptr) return std::puts("\nnot in this release"), true;
  std::unique_ptr<Command> command = row->make();
  FlagSet set;
  command->Declare(set);
  std::printf("\nUsage: runsc %s [flags] %s\n%s", row->name, command->arguments(),
              set.Help().c_str());
  return true;
}

std::unique_ptr<Command> NewHelp() { return std::make_unique<HelpCommand>(); }
std::unique_ptr<Command> NewFlags() { return std::make_unique<FlagsCommand>(); }

}  // namespace runsc::cli
