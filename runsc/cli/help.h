#ifndef RUNSC_CLI_HELP_H_
#define RUNSC_CLI_HELP_H_

#include <string>

namespace runsc::cli {

// Help of a command or topic, or the overview if `topic` is empty. False: there is none.
bool PrintHelp(const std::string& topic);
// Two lines, as engines parse them. Answers the exit status.
int PrintVersion();

}  // namespace runsc::cli

#endif  // RUNSC_CLI_HELP_H_
