#include "sentry/fs/tty/line_discipline.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <termios.h>

namespace runsc {
namespace {

struct Typed {
  std::string echo;
  std::vector<int> signals;
};

Typed Type(LineDiscipline& d, std::string_view bytes) {
  Typed t;
  EXPECT_EQ(d.Type(bytes, &t.echo, &t.signals), bytes.size());
  return t;
}

ErrnoOr<std::string> Read(LineDiscipline& d, size_t size = 100) {
  std::string buffer(size, '\0');
  UserOut out(buffer.data(), size);
  size_t n = TRY(d.Read(out, false, false));
  return buffer.substr(0, n);
}

void Change(LineDiscipline& d, uint32_t off, uint32_t on = 0) {
  abi::Termios2 t = d.termios();
  t.lflag = (t.lflag & ~off) | on;
  d.SetTermios(t);
}

TEST(LineDisciplineTest, CanonicalReadsOneLineAtATime) {
  LineDiscipline d;
  EXPECT_EQ(Read(d).error(), Errno::kWouldBlock);
  Type(d, "ab");
  EXPECT_FALSE(d.readable());
  Type(d, "c\rsecond\n");
  EXPECT_EQ(*Read(d), "abc\n");
  EXPECT_EQ(*Read(d, 3), "sec");
  EXPECT_EQ(*Read(d), "ond\n");
}

TEST(LineDisciplineTest, EchoShowsControlCharactersAndErases) {
  LineDiscipline d;
  EXPECT_EQ(Type(d, "a\x01").echo, "a^A");
  EXPECT_EQ(Type(d, "\x7f").echo, "\b \b\b \b");
  EXPECT_EQ(Type(d, "\r").echo, "\r\n");
  EXPECT_EQ(*Read(d), "a\n");
}

TEST(LineDisciplineTest, EraseTakesAWholeUtf8Character) {
  LineDiscipline d;
  abi::Termios2 t = d.termios();
  t.iflag |= IUTF8;
  d.SetTermios(t);
  Type(d, "x\xc3\xa9\x7f\n");
  EXPECT_EQ(*Read(d), "x\n");
}

TEST(LineDisciplineTest, WordAndLineKill) {
  LineDiscipline d;
  Type(d, "one two\x17\x17three\n");
  EXPECT_EQ(*Read(d), "three\n");
  Type(d, "gone\x15kept\n");
  EXPECT_EQ(*Read(d), "kept\n");
}

TEST(LineDisciplineTest, EndOfFileAlone) {
  LineDiscipline d;
  Type(d, "\x04");
  EXPECT_TRUE(d.readable());
  EXPECT_EQ(*Read(d), "");
  Type(d, "part\x04");
  EXPECT_EQ(*Read(d), "part");
}

TEST(LineDisciplineTest, SignalCharactersFlushInput) {
  LineDiscipline d;
  Type(d, "typed");
  Typed t = Type(d, "\x03");
  EXPECT_EQ(t.signals, std::vector<int>{SIGINT});
  EXPECT_EQ(t.echo, "^C");
  Type(d, "\n");
  EXPECT_EQ(*Read(d), "\n");
}

TEST(LineDisciplineTest, RawModeTakesEverything) {
  LineDiscipline d;
  Change(d, ICANON | ECHO | ISIG | IEXTEN);
  Typed t = Type(d, "a\x03\x7f");
  EXPECT_TRUE(t.signals.empty());
  EXPECT_EQ(t.echo, "");
  EXPECT_EQ(*Read(d), "a\x03\x7f");
}

TEST(LineDisciplineTest, TypedLineBecomesReadableWhenCanonicalModeEnds) {
  LineDiscipline d;
  Type(d, "half");
  Change(d, ICANON);
  EXPECT_EQ(*Read(d), "half");
}

TEST(LineDisciplineTest, LiteralNextKeepsControlCharacters) {
  LineDiscipline d;
  EXPECT_TRUE(Type(d, "\x16\x03\n").signals.empty());
  EXPECT_EQ(*Read(d), "\x03\n");
}

TEST(LineDisciplineTest, OutputMapsNewlines) {
  LineDiscipline d;
  std::string out;
  EXPECT_EQ(d.Display("a\nb", 100, &out), 3u);
  EXPECT_EQ(out, "a\r\nb");
}

TEST(LineDisciplineTest, FlowControlStopsOutput) {
  LineDiscipline d;
  Type(d, "\x13");
  EXPECT_TRUE(d.stopped());
  Type(d, "\x11");
  EXPECT_FALSE(d.stopped());
}

TEST(LineDisciplineTest, FullInputStillEndsTheLine) {
  LineDiscipline d;
  std::string many(LineDiscipline::kMaxInput + 100, 'x');
  Type(d, many);
  Type(d, "\n");
  EXPECT_TRUE(d.readable());
  EXPECT_EQ(Read(d, 10000)->size(), LineDiscipline::kMaxInput + 1);
}

// However much is typed while nobody reads: input, echo and ends of file are bounded.
TEST(LineDisciplineTest, NothingGrowsWithoutBound) {
  for (char c : {'\n', '\x04', '\x03', '\x12', '\x15', '\x7f', 'x'}) {
    LineDiscipline d;
    std::string echo;
    std::vector<int> signals;
    std::string many(2000, c);
    d.Type(std::string(4000, 'l'), &echo, &signals);
    size_t taken = 0;
    for (int i = 0; i < 10; ++i) {
      taken += d.Type(many, &echo, &signals);
      signals.clear();
    }
    EXPECT_LT(echo.size(), 4 * LineDiscipline::kMaxEcho) << int{c};
    EXPECT_LE(d.available(), LineDiscipline::kMaxInput + 1);
    if (c == '\n' || c == '\x04') EXPECT_LE(taken, LineDiscipline::kMaxInput);
  }
}

}  // namespace
}  // namespace runsc
