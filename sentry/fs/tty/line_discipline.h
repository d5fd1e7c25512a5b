#ifndef SENTRY_FS_TTY_LINE_DISCIPLINE_H_
#define SENTRY_FS_TTY_LINE_DISCIPLINE_H_

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "platform/abi/termios.h"
#include "platform/base/errno.h"
#include "sentry/usermem/usermem.h"

namespace runsc {

// N_TTY (termios(3)): edits and cooks what is typed, echoes it, raises signals, and processes
// output. No locks of its own: the terminal's lock guards it. At most kMaxInput bytes wait.
class LineDiscipline {
 public:
  static constexpr size_t kMaxInput = 4096;
  // Echo that nobody reads is lost from here on, as in Linux when its buffer is full.
  static constexpr size_t kMaxEcho = 16384;

  LineDiscipline();

  const abi::Termios2& termios() const { return termios_; }
  // Changes settings; switching canonical mode off makes what is typed so far readable.
  void SetTermios(const abi::Termios2& termios);

  // Takes bytes typed at the keyboard; answers how many (fewer when the input is full). Echo to
  // display is appended to `echo`, signals to raise to `signals`.
  size_t Type(std::string_view bytes, std::string* echo, std::vector<int>* signals);
  // What a program reads: a line, or by VMIN and VTIME. kWouldBlock if it is to wait for more; with
  // `expired` (VTIME is over) it never is, with `nonblock` only if there is nothing.
  ErrnoOr<size_t> Read(UserOut& dst, bool nonblock, bool expired);
  // Until when a read that began at `began` waits, if the last byte came at `last` (termios(3)):
  // VTIME runs from the call if VMIN is 0, else from each byte. INT64_MAX: forever.
  int64_t ReadDeadline(int64_t began, int64_t last) const;
  bool canonical() const;
  bool readable() const;
  size_t available() const;
  // Complete lines that wait (canonical mode).
  size_t lines() const { return lines_.size(); }
  void FlushInput();

  // Cooks output for the display: appends to `out` at most `room` bytes, answers how many of
  // `bytes` it took.
  size_t Display(std::string_view bytes, size_t room, std::string* out);
  // XOFF was typed, or TCOOFF asked for.
  bool stopped() const { return stopped_; }
  void SetStopped(bool stopped) { stopped_ = stopped; }

 private:
  bool InputFull() const { return ready_.size() + line_.size() + ends_ >= kMaxInput; }
  void DropLines();
  bool Has(uint32_t lflag) const { return (termios_.lflag & lflag) != 0; }
  bool Is(int index, char c) const;
  // Each answers whether the byte was used up.
  void TypeOne(char c, std::string* echo, std::vector<int>* signals);
  bool TypeSignal(char c, std::string* echo, std::vector<int>* signals);
  bool TypeFlow(char c);
  bool TypeEdit(char c, std::string* echo);
  void TypeData(char c, std::string* echo);
  ErrnoOr<size_t> ReadLine(UserOut& dst);
  void EndLine(char c, bool keep);
  void EraseOne(std::string* echo);
  void EraseWord(std::string* echo);
  void Echo(char c, std::string* echo);
  void EchoErased(std::string_view erased, std::string* echo);
  void Cook(char c, std::string* out);

  abi::Termios2 termios_;
  std::string line_;               // being edited (canonical)
  std::string ready_;              // readable bytes
  struct Line {
    size_t length;
    bool eof;  // ended by VEOF, whose byte is not in ready_
  };
  std::deque<Line> lines_;         // how ready_ splits (canonical)
  size_t ends_ = 0;                // of them those with eof, which take room too
  bool literal_ = false;           // VLNEXT came
  bool stopped_ = false;
  size_t column_ = 0;
};

}  // namespace runsc

#endif  // SENTRY_FS_TTY_LINE_DISCIPLINE_H_
