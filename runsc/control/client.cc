#include "runsc/control/client.h"

namespace runsc::control {

HostStatus Client::Create(const ContainerConfig& c, std::span<const int> fds) {
  return Call(Type::kCreate, Encode(c), fds).status();
}

HostStatus Client::Adopt(int listener, int exit_file) {
  const int fds[] = {listener, exit_file};
  return Call(Type::kAdopt, "", fds).status();
}

HostOr<uint32_t> Client::Send(Type type, std::string_view payload, std::span<const int> fds) {
  uint32_t sequence = ++sequence_;
  TRY(connection_.Send(type, sequence, payload, fds));
  return sequence;
}

HostOr<std::optional<std::string>> Client::TryFinish(uint32_t sequence) {
  bool received = false;
  while (true) {
    HostOr<std::optional<Frame>> frame = connection_.Next();
    if (frame.ok() && !frame->has_value() && !received) {
      frame = connection_.Receive();
      received = true;
    }
    if (!frame.ok()) return frame.error();
    if (!frame->has_value()) return std::optional<std::string>();
    if ((*frame)->type == Type::kReply && (*frame)->sequence == sequence) {
      std::string_view answer = TRY(DecodeReply((*frame)->payload));
      return std::optional<std::string>(std::string(answer));
    }
  }
}

Client::Answer Client::Call(Type type, std::string_view payload, std::span<const int> fds) {
  HostOr<uint32_t> sequence = Send(type, payload, fds);
  if (!sequence.ok()) return {sequence.error()};
  while (true) {
    HostOr<std::optional<std::string>> answer = TryFinish(*sequence);
    if (!answer.ok()) return {answer.error()};
    if (answer->has_value()) return {std::move(**answer)};
  }
}

}  // namespace runsc::control
