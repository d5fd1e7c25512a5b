#include "sentry/fs/tty/line_discipline.h"

#include <signal.h>
#include <termios.h>

#include <algorithm>

namespace runsc {
namespace {

bool IsControl(char c) {
  unsigned char u = static_cast<unsigned char>(c);
  return u < 0x20 || u == 0x7f;
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

bool IsWord(char c) { return isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

abi::Termios2 DefaultTermios() {
  abi::Termios2 t{};
  t.iflag = ICRNL | IXON;
  t.oflag = OPOST | ONLCR;
  t.cflag = B38400 | CS8 | CREAD;
  t.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  const uint8_t cc[abi::kNcc] = {3,  28, 127, 21, 4,  0,  1,  0,  17, 19,
                                 26, 0,  18,  15, 23, 22, 0,  0,  0};
  std::copy(std::begin(cc), std::end(cc), t.cc);
  t.ispeed = t.ospeed = 38400;
  return t;
}

}  // namespace

LineDiscipline::LineDiscipline() : termios_(DefaultTermios()) {}

bool LineDiscipline::canonical() const { return Has(ICANON); }

bool LineDiscipline::Is(int index, char c) const {
  return termios_.cc[index] != 0 && termios_.cc[index] == static_cast<uint8_t>(c);
}

void LineDiscipline::SetTermios(const abi::Termios2& termios) {
  bool was = canonical();
  termios_ = termios;
  if (was && !canonical()) {
    ready_ += line_;
    line_.clear();
    DropLines();
  } else if (!was && canonical() && !ready_.empty()) {
    lines_.push_back({ready_.size(), false});
  }
  if ((termios_.iflag & IXON) == 0) stopped_ = false;
}

void LineDiscipline::FlushInput() {
  line_.clear();
  ready_.clear();
  DropLines();
}

void LineDiscipline::DropLines() {
  lines_.clear();
  ends_ = 0;
}

// Control characters show as ^X with ECHOCTL.
void LineDiscipline::Echo(char c, std::string* echo) {
  if (!Has(ECHO) && !(c == '\n' && Has(ECHONL) && canonical())) return;
  if (IsControl(c) && Has(ECHOCTL) && c != '\n' && c != '\t') {
    *echo += '^';
    *echo += static_cast<char>(static_cast<unsigned char>(c) ^ 0x40);
    column_ += 2;
    return;
  }
  Cook(c, echo);
}

bool LineDiscipline::TypeSignal(char c, std::string* echo, std::vector<int>* signals) {
  if (!Has(ISIG)) return false;
  int signal = Is(VINTR, c) ? SIGINT : Is(VQUIT, c) ? SIGQUIT : Is(VSUSP, c) ? SIGTSTP : 0;
  if (signal == 0) return false;
  if (!Has(NOFLSH)) FlushInput();
  stopped_ = false;
  Echo(c, echo);
  signals->push_back(signal);
  return true;
}

bool LineDiscipline::TypeFlow(char c) {
  if ((termios_.iflag & IXON) == 0) return false;
  if (Is(VSTOP, c)) {
    stopped_ = true;
    return true;
  }
  if (Is(VSTART, c)) {
    stopped_ = false;
    return true;
  }
  if ((termios_.iflag & IXANY) != 0) stopped_ = false;
  return false;
}

void LineDiscipline::EchoErased(std::string_view erased, std::string* echo) {
  if (!Has(ECHO)) return;
  if (!Has(ECHOE)) {
    Echo(static_cast<char>(termios_.cc[VERASE]), echo);
    return;
  }
  for (size_t i = erased.size(); i-- > 0;) {
    char c = erased[i];
    if ((termios_.iflag & IUTF8) != 0 && IsContinuation(c)) continue;
    size_t width = IsControl(c) && c != '\t' && Has(ECHOCTL) ? 2 : 1;
    for (size_t n = 0; n < width; ++n) *echo += "\b \b";
    column_ = column_ > width ? column_ - width : 0;
  }
}

void LineDiscipline::EraseOne(std::string* echo) {
  size_t n = 1;
  if ((termios_.iflag & IUTF8) != 0) {
    while (n < line_.size() && IsContinuation(line_[line_.size() - n])) ++n;
  }
  EchoErased(std::string_view(line_).substr(line_.size() - n), echo);
  line_.resize(line_.size() - n);
}

void LineDiscipline::EraseWord(std::string* echo) {
  while (!line_.empty() && !IsWord(line_.back())) EraseOne(echo);
  while (!line_.empty() && (IsWord(line_.back()) || IsContinuation(line_.back()))) EraseOne(echo);
}

// Editing keys of canonical mode.
bool LineDiscipline::TypeEdit(char c, std::string* echo) {
  if (Is(VERASE, c)) {
    if (!line_.empty()) EraseOne(echo);
    return true;
  }
  if (Is(VWERASE, c) && Has(IEXTEN)) {
    EraseWord(echo);
    return true;
  }
  if (Is(VKILL, c)) {
    if (Has(ECHOKE) && Has(ECHOE)) {
      EchoErased(line_, echo);
    } else {
      Echo(c, echo);
      if (Has(ECHOK)) Cook('\n', echo);
    }
    line_.clear();
    return true;
  }
  if (Is(VLNEXT, c) && Has(IEXTEN)) {
    literal_ = true;
    if (Has(ECHO) && Has(ECHOCTL)) *echo += "^\b";
    return true;
  }
  if (Is(VREPRINT, c) && Has(IEXTEN)) {
    Echo(c, echo);
    Cook('\n', echo);
    for (char old : line_) Echo(old, echo);
    return true;
  }
  return false;
}

void LineDiscipline::EndLine(char c, bool keep) {
  if (keep) line_ += c;
  lines_.push_back({line_.size(), !keep});
  if (!keep) ++ends_;
  ready_ += line_;
  line_.clear();
}

void LineDiscipline::TypeData(char c, std::string* echo) {
  if (!canonical()) {
    Echo(c, echo);
    ready_ += c;
    return;
  }
  if (Is(VEOF, c)) {
    EndLine(c, false);
    return;
  }
  Echo(c, echo);
  if (c == '\n' || Is(VEOL, c) || (Is(VEOL2, c) && Has(IEXTEN))) {
    EndLine(c, true);
  } else {
    line_ += c;
  }
}

// A full line that is not ended yet still takes its end and its editing keys; other bytes are lost.
void LineDiscipline::TypeOne(char c, std::string* echo, std::vector<int>* signals) {
  const bool full = InputFull();
  if ((termios_.iflag & ISTRIP) != 0) c = static_cast<char>(c & 0x7f);
  if (literal_) {
    literal_ = false;
    Echo(c, echo);
    if (!full) line_ += c;
    return;
  }
  if (TypeFlow(c) || TypeSignal(c, echo, signals)) return;
  if (c == '\r') {
    if ((termios_.iflag & IGNCR) != 0) return;
    if ((termios_.iflag & ICRNL) != 0) c = '\n';
  } else if (c == '\n' && (termios_.iflag & INLCR) != 0) {
    c = '\r';
  }
  if (canonical() && TypeEdit(c, echo)) return;
  if (full && c != '\n' && !Is(VEOF, c)) return;
  TypeData(c, echo);
}

size_t LineDiscipline::Type(std::string_view bytes, std::string* echo, std::vector<int>* signals) {
  size_t taken = 0;
  std::string lost;
  for (char c : bytes) {
    // With a line to read the keyboard waits for that.
    if (InputFull() && (!canonical() || !lines_.empty())) break;
    ++taken;
    lost.clear();
    TypeOne(c, echo->size() < kMaxEcho ? echo : &lost, signals);
  }
  return taken;
}

bool LineDiscipline::readable() const {
  if (canonical()) return !lines_.empty();
  size_t least = termios_.cc[VTIME] != 0 ? 1 : std::max<size_t>(termios_.cc[VMIN], 1);
  return ready_.size() >= least;
}

size_t LineDiscipline::available() const {
  if (!canonical()) return ready_.size();
  return lines_.empty() ? 0 : lines_.front().length;
}

ErrnoOr<size_t> LineDiscipline::ReadLine(UserOut& dst) {
  if (lines_.empty()) return Errno::kWouldBlock;
  Line& line = lines_.front();
  size_t n = std::min(line.length, dst.remaining());
  if (n > 0) n = TRY(dst.Write(ready_.data(), n));
  ready_.erase(0, n);
  line.length -= n;
  if (line.length == 0) {
    if (line.eof) --ends_;
    lines_.pop_front();
  }
  return n;
}

ErrnoOr<size_t> LineDiscipline::Read(UserOut& dst, bool nonblock, bool expired) {
  if (canonical()) return ReadLine(dst);
  if (dst.remaining() == 0) return size_t{0};
  size_t least = std::max<size_t>(termios_.cc[VMIN], 1);
  bool enough = ready_.size() >= std::min(least, dst.remaining());
  if (!enough && ready_.empty()) {
    bool polls = termios_.cc[VMIN] == 0 && termios_.cc[VTIME] == 0;
    return polls || expired ? ErrnoOr<size_t>(size_t{0}) : Errno::kWouldBlock;
  }
  if (!enough && !nonblock && !expired) return Errno::kWouldBlock;
  size_t n = TRY(dst.Write(ready_.data(), ready_.size()));
  ready_.erase(0, n);
  return n;
}

int64_t LineDiscipline::ReadDeadline(int64_t began, int64_t last) const {
  constexpr int64_t kTenth = 100'000'000;
  int64_t time = termios_.cc[VTIME] * kTenth;
  if (canonical() || time == 0) return INT64_MAX;
  if (termios_.cc[VMIN] == 0) return began + time;
  return ready_.empty() ? INT64_MAX : std::max(began, last) + time;
}

void LineDiscipline::Cook(char c, std::string* out) {
  uint32_t o = termios_.oflag;
  if ((o & OPOST) == 0) {
    *out += c;
    return;
  }
  switch (c) {
    case '\n':
      if ((o & ONLCR) != 0) *out += '\r';
      if ((o & (ONLCR | ONLRET)) != 0) column_ = 0;
      *out += '\n';
      return;
    case '\r':
      if ((o & ONOCR) != 0 && column_ == 0) return;
      column_ = (o & OCRNL) != 0 && (o & ONLRET) == 0 ? column_ : 0;
      *out += (o & OCRNL) != 0 ? '\n' : '\r';
      return;
    case '\t': {
      size_t width = 8 - column_ % 8;
      column_ += width;
      if ((o & XTABS) == XTABS) {
        out->append(width, ' ');
      } else {
        *out += '\t';
      }
      return;
    }
    case '\b':
      if (column_ > 0) --column_;
      *out += c;
      return;
    default:
      if ((o & OLCUC) != 0) c = static_cast<char>(toupper(static_cast<unsigned char>(c)));
      if (!IsControl(c) && !IsContinuation(c)) ++column_;
      *out += c;
  }
}

size_t LineDiscipline::Display(std::string_view bytes, size_t room, std::string* out) {
  constexpr size_t kWidest = 8;  // one byte cooks to at most a tab's spaces
  size_t start = out->size();
  size_t taken = 0;
  while (taken < bytes.size() && out->size() - start + kWidest <= room) Cook(bytes[taken++], out);
  return taken;
}

}  // namespace runsc
