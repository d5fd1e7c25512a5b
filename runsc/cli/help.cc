#include "runsc/cli/help.h"

#include <fcntl.h>

#include <cstdio>

#include "platform/host/file.h"
#include "runsc/boot/platforms.h"
#include "runsc/cli/command.h"
#include "runsc/cli/syscall_page.h"

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
  std::puts(
      "Usage: runsc <flags> <subcommand> <subcommand args>\n\n"
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
  std::puts(
      "Additional help topics (use \"runsc help <topic>\"):\n"
      "\tplatforms        list the platforms and whether they work here\n"
      "\tsyscalls         list the system calls and how far they are supported");
}

void PrintPlatforms() {
  for (const boot::PlatformInfo& p : boot::ListPlatforms()) {
    std::printf("%-10s %s\n", p.name.c_str(), p.state.c_str());
  }
  std::puts("\nChoose one with --platform=NAME; auto takes the first that works.");
}

class HelpCommand : public Command {
 public:
  const char* arguments() const override { return "[<subcommand>|platforms|syscalls]"; }
  void Declare(FlagSet& set) override {
    set.Add("format", &format_, "output format of \"help syscalls\": table, csv or json");
    set.Add("os", &os_, "operating system of \"help syscalls\"");
    set.Add("arch", &arch_, "architecture of \"help syscalls\"");
    set.Add("filename", &filename_, "file for \"help syscalls\" (stdout)");
  }
  HostOr<int> Run(const Flags&, const std::vector<std::string>& args) override {
    std::vector<std::string> words = args;
    if (!words.empty() && words[0] == "syscalls") {
      // gVisor's flags belong to the topic and follow it.
      FlagSet set;
      Declare(set);
      words.erase(words.begin());
      TRY(set.Parse(words));
      words.insert(words.begin(), "syscalls");
    }
    TRY(WantArguments(words, 0, 1, "help [<subcommand>|platforms|syscalls]"));
    if (!words.empty() && words[0] == "syscalls") return Syscalls();
    if (PrintHelp(words.empty() ? "" : words[0])) return 0;
    return TextError("no help for \"%s\"; see \"runsc help\"", words[0].c_str());
  }

 private:
  HostOr<int> Syscalls() {
    if (os_ != "linux" && os_ != "all")
      return TextError("no system calls of os \"%s\"; there is linux", os_.c_str());
    if (arch_ != "amd64" && arch_ != "all") {
      return TextError("no system calls of arch \"%s\"; there is amd64", arch_.c_str());
    }
    std::string text = TRY(SyscallPage(format_));
    if (filename_.empty()) {
      std::fputs(text.c_str(), stdout);
      return 0;
    }
    Fd file = TRY(host::OpenAt(AT_FDCWD, filename_, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    TRY(host::WriteAll(file.get(), text));
    return 0;
  }

  std::string format_ = "table", os_ = "all", arch_ = "all", filename_;
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
  if (topic == "syscalls") {
    HostOr<std::string> page = SyscallPage("table");
    return std::fputs(page->c_str(), stdout), true;
  }
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
