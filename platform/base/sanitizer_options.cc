// What the sanitizers' environment variables would say: sentry and gofer start with an empty one.
// A report ends the process, as it does with ASan, so that no runner can overlook it. The
// symbolizer is a program, which chroot and seccomp would not let run.
#define SYMBOLIZER "external_symbolizer_path=/usr/bin/llvm-symbolizer"

extern "C" {

const char* __asan_default_options();
const char* __tsan_default_options();
const char* __tsan_default_suppressions();

const char* __asan_default_options() { return SYMBOLIZER; }
const char* __tsan_default_options() {
  // Tests fork while they have threads (a self-test, a gofer).
  return SYMBOLIZER ":halt_on_error=1:second_deadlock_stack=1:die_after_fork=0";
}

// TSan remembers every order in which two locks were ever taken. These orders follow from a tree or
// graph that changes, whose changes are serialized: directories by the rename mutex, epolls that
// watch epolls by FileReleaseLock().
const char* __tsan_default_suppressions() {
  return "deadlock:TwoDirs\n"
         "deadlock:RenameOp::Run\n"
         "deadlock:runsc::Epoll::Poll\n"
         "deadlock:runsc::WaitQueue::NotifyNested\n";
}

}  // extern "C"
