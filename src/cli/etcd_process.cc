#include "etcd_process.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>

#include "cenote/base/format.h"
#include "cenote/rpc/address.h"

namespace cenote::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr Duration kStopPatience = 10s;
constexpr int kConnectPatienceMs = 1000;
constexpr Duration kStopLook = 10ms;
constexpr Duration kFirstPause = 1s;
constexpr Duration kLongestPause = 30s;
/// One that ran for so long was well.
constexpr Duration kWell = 60s;

Duration monotonic_now() { return std::chrono::steady_clock::now().time_since_epoch(); }

void sleep_for(Duration duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  const timespec time{.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
  ::nanosleep(&time, nullptr);
}

/// "http://10.0.0.1:7779" at another host.
std::string at_host(const std::string& url, const std::string& host) {
  const std::size_t port = url.rfind(':');
  const bool wide = host.contains(':');
  return fmt::format("http://{}{}{}{}", wide ? "[" : "", host, wide ? "]" : "", url.substr(port));
}

std::vector<std::string> arguments_of(const std::string& program, const EtcdProcessOptions& options,
                                      const etcd::OwnMember& member) {
  std::vector<std::string> arguments = {program,
                                        "--name=" + member.name,
                                        "--data-dir=" + etcd::member_folder(options.data_directory, member),
                                        "--listen-client-urls=" + at_host(member.client_url, options.listen_host),
                                        "--advertise-client-urls=" + member.client_url,
                                        "--listen-peer-urls=" + at_host(member.peer_url, options.listen_host),
                                        "--initial-advertise-peer-urls=" + member.peer_url,
                                        "--initial-cluster=" + member.initial_cluster,
                                        "--auto-compaction-mode=periodic",
                                        "--auto-compaction-retention=1h",
                                        "--logger=zap",
                                        "--log-level=error"};
  if (member.token.empty()) {
    arguments.emplace_back("--initial-cluster-state=existing");
  } else {
    arguments.emplace_back("--initial-cluster-state=new");
    arguments.push_back("--initial-cluster-token=" + member.token);
  }
  return arguments;
}

bool starts_with_in_any_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::ranges::equal(text.substr(0, lower.size()), lower, {}, [](char letter) {
           return static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
         });
}

/// Ours, without what would change etcd's settings, or send it to its peers by way of others.
std::vector<std::string> environment() {
  constexpr std::array<std::string_view, 4> kProxies = {"http_proxy=", "https_proxy=", "all_proxy=", "no_proxy="};
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const bool is_proxy =
        std::ranges::any_of(kProxies, [text](std::string_view name) { return starts_with_in_any_case(text, name); });
    if (!text.starts_with("ETCD_") && !is_proxy) variables.emplace_back(text);
  }
#if defined(__aarch64__)
  // What etcd 3.4 asks for where it was not tested by its makers.
  variables.emplace_back("ETCD_UNSUPPORTED_ARCH=arm64");
#endif
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// What the child does, which may not allocate: other threads were not forked with it.
[[noreturn]] void become(const char* program, char* const* arguments, char* const* variables, pid_t parent, int output,
                         int report) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  // Not with the terminal's interrupt, which is for the engine: etcd goes last.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() == parent) {
    const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input >= 0) ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::execve(program, arguments, variables);
  }
  const int flaw = errno;
  [[maybe_unused]] const auto told = ::write(report, &flaw, sizeof flaw);
  ::_exit(127);
}

/// Whether a connection is taken within a second.
bool listens(const rpc::Address& at) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &hints, &found) != 0) return false;
  const int socket = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool connected = socket >= 0 && ::connect(socket, found->ai_addr, found->ai_addrlen) == 0;
  if (socket >= 0 && !connected && errno == EINPROGRESS) {
    pollfd ready{.fd = socket, .events = POLLOUT, .revents = 0};
    int flaw = 0;
    socklen_t size = sizeof flaw;
    connected = ::poll(&ready, 1, kConnectPatienceMs) == 1 &&
                ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &flaw, &size) == 0 && flaw == 0;
  }
  if (socket >= 0) ::close(socket);
  ::freeaddrinfo(found);
  return connected;
}

}  // namespace

Result<std::string> find_program(const std::string& program) {
  if (program.contains('/')) {
    if (::access(program.c_str(), X_OK) == 0) return program;
    return failf(Code::kNotFound, "'{}' is no program", program);
  }
  const char* const path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t end = rest.find(':');
    std::string candidate = fmt::format("{}/{}", rest.substr(0, end), program);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return failf(Code::kNotFound,
               "'{}' is not installed: install etcd (Debian: apt install etcd-server), or name the program with --etcd",
               program);
}

Result<EtcdProcess> EtcdProcess::start(const EtcdProcessOptions& options, const etcd::OwnMember& member) {
  TRY(const std::string program, find_program(options.program));
  std::error_code failed;
  fs::create_directories(options.data_directory + "/etcd", failed);
  if (failed) return failf(Code::kIoError, "cannot create '{}/etcd': {}", options.data_directory, failed.message());
  auto arguments = arguments_of(program, options, member);
  auto variables = environment();
  const auto argv = pointers_to(arguments);
  const auto envp = pointers_to(variables);
  const int output = options.log_file.empty()
                         ? ::dup(STDERR_FILENO)
                         : ::open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  int report[2];
  if (output < 0 || ::pipe2(report, O_CLOEXEC) != 0) {
    const int reason = errno;
    if (output >= 0) ::close(output);
    return failf(Code::kIoError, "cannot start etcd: {}", std::strerror(reason));
  }
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(program.c_str(), argv.data(), envp.data(), parent, output, report[1]);
  const int refusal = errno;
  // By whoever of the two comes first.
  if (child > 0) ::setpgid(child, child);
  ::close(output);
  ::close(report[1]);
  int flaw = 0;
  const bool refused = child > 0 && ::read(report[0], &flaw, sizeof flaw) == sizeof flaw;
  ::close(report[0]);
  if (child < 0) return failf(Code::kResourceExhausted, "cannot start etcd: {}", std::strerror(refusal));
  EtcdProcess process(child);
  if (!refused) return process;
  return failf(Code::kIoError, "cannot run '{}': {}", program, std::strerror(flaw));
}

EtcdProcess::EtcdProcess(EtcdProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

EtcdProcess& EtcdProcess::operator=(EtcdProcess&& other) noexcept {
  if (this != &other) {
    stop();
    pid_ = std::exchange(other.pid_, -1);
  }
  return *this;
}

EtcdProcess::~EtcdProcess() { stop(); }

std::optional<int> EtcdProcess::ended() {
  if (pid_ < 0) return std::nullopt;
  int status = 0;
  const pid_t waited = ::waitpid(pid_, &status, WNOHANG);
  // One that is nobody's child any more is not waited for, either.
  const bool gone = waited == pid_ || (waited < 0 && errno == ECHILD);
  if (!gone) return std::nullopt;
  pid_ = -1;
  return status;
}

// All of its group: the program may be a script that runs etcd.
void EtcdProcess::stop() {
  if (pid_ < 0) return;
  const pid_t group = pid_;
  ::kill(-group, SIGTERM);
  const Duration give_up = monotonic_now() + kStopPatience;
  while (pid_ >= 0 && !ended()) {
    if (monotonic_now() >= give_up) ::kill(-group, SIGKILL);
    sleep_for(kStopLook);
  }
  ::kill(-group, SIGTERM);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

void EtcdKeeper::follow() {
  const auto joined = etcd::load_joined(options_.data_directory);
  if (!joined) {
    // What runs goes on: nobody knows better.
    logger_.error("cannot see which member of etcd is to run here", {{"error", joined.error()}});
    return;
  }
  const std::optional<etcd::OwnMember> member = *joined ? (*joined)->member : std::nullopt;
  const bool runs = member && member->runs();
  if (process_ && (!runs || member->number != member_.number)) {
    logger_.info("the member of etcd that runs here has left the cluster");
    process_.reset();
  }
  if (*joined) remove_data_of((*joined)->over);
  if (runs && member->number != member_.number) {
    // What kept an earlier one from running is of no interest.
    next_start_.reset();
    pause_ = {};
  }
  if (!runs) next_start_.reset();
  if (!runs || process_) return;
  if (next_start_ && monotonic_now() < *next_start_) return;
  run(*member);
}

void EtcdKeeper::run(const etcd::OwnMember& member) {
  next_start_.reset();
  if (etcd::has_lost_data(options_.data_directory, member)) {
    logger_.error("the data of this member of etcd is gone: it is not started",
                  {{"folder", etcd::member_folder(options_.data_directory, member)}});
    return;
  }
  if (member.client_url != options_.client_url) {
    logger_.error(
        "this member of etcd is of another address: it is not started, since its data may be a copy of what runs there",
        {{"member_at", member.client_url}, {"engine_at", options_.client_url}});
    return;
  }
  if (somebody_listens_at(member.client_url)) {
    next_start_ = monotonic_now() + kFirstPause;
    if (!told_)
      logger_.error("something listens where the member of etcd is to run: it is not started, as it may run already",
                    {{"at", member.client_url}});
    told_ = true;
    return;
  }
  told_ = false;
  auto started = EtcdProcess::start(options_, member);
  if (!started) {
    pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
    next_start_ = monotonic_now() + pause_;
    logger_.error("etcd does not start", {{"error", started.error()}, {"next_try_seconds", pause_}});
    return;
  }
  process_ = *std::move(started);
  member_ = member;
  started_at_ = monotonic_now();
  logger_.info("etcd is started", {{"member", member.name}, {"clients", member.client_url}, {"pid", process_->pid()}});
}

bool EtcdKeeper::note_ended(pid_t child, int status) {
  if (!process_ || process_->pid() != child) return false;
  process_->note_ended();
  process_.reset();
  if (monotonic_now() - started_at_ >= kWell) pause_ = {};
  pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
  next_start_ = monotonic_now() + pause_;
  logger_.error("etcd has ended; it is started again", {{"by", how_it_ended(status)}, {"in_seconds", pause_}});
  return true;
}

std::optional<Duration> EtcdKeeper::due() const {
  if (!next_start_) return std::nullopt;
  return std::max(*next_start_ - monotonic_now(), Duration(0));
}

/// Of memberships that are over as the cluster said: of others nobody knows whether it is missed.
void EtcdKeeper::remove_data_of(const std::vector<std::uint32_t>& over) {
  std::error_code ignored;
  for (const std::uint32_t number : over)
    fs::remove_all(fmt::format("{}/etcd/{}", options_.data_directory, number), ignored);
}

bool somebody_listens_at(const std::string& url) {
  const std::size_t host = url.find("//");
  const auto address = rpc::Address::parse(host == std::string::npos ? url : url.substr(host + 2));
  const auto addresses = address ? rpc::resolve_blocking(*address) : fail(address.error());
  if (!addresses) return false;
  return std::ranges::any_of(*addresses, [](const rpc::Address& one) { return listens(one); });
}

}  // namespace cenote::cli
