#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cenote/base/format.h"
#include "cenote/runtime/uring_reactor.h"
#include "http_client.h"
#include "messages.h"

// Real etcd members for tests, on loopback ports that nobody else takes, in a folder that goes with them.
namespace cenote::etcd {

/// A port that is free, outside of the range from which the kernel gives ports away.
inline int free_port() {
  static int next = 20000 + static_cast<int>(::getpid() % 1000) * 10;
  for (int tries = 0; tries < 10'000; ++tries) {
    const int port = next++;
    if (next == 30'000) next = 20'000;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    if (bound) return port;
  }
  return 0;
}

/// One process of etcd.
class EtcdMember {
 public:
  EtcdMember(std::string log_path, std::vector<std::string> arguments)
      : log_path_(std::move(log_path)), arguments_(std::move(arguments)) {}
  EtcdMember(const EtcdMember&) = delete;
  EtcdMember& operator=(const EtcdMember&) = delete;
  ~EtcdMember() { kill(); }

  /// Empty, or why there is no process.
  std::string start() {
    int report[2];
    if (::pipe2(report, O_CLOEXEC) != 0) return "no pipe";
    std::vector<char*> argv;
    for (std::string& argument : arguments_) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int log = ::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(log, STDOUT_FILENO);
      ::dup2(log, STDERR_FILENO);
      ::execvp(argv[0], argv.data());
      const int flaw = errno;
      [[maybe_unused]] const auto told = ::write(report[1], &flaw, sizeof flaw);
      ::_exit(127);
    }
    ::close(report[1]);
    ::close(log);
    int flaw = 0;
    const bool failed = ::read(report[0], &flaw, sizeof flaw) == sizeof flaw;
    ::close(report[0]);
    if (pid_ > 0 && !failed) return "";
    kill();
    return fmt::format("'{}' does not start: scripts/install-deps installs etcd-server", arguments_.front());
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  /// Not one of its threads runs any more when this returns.
  void freeze() {
    ::kill(pid_, SIGSTOP);
    ::waitpid(pid_, nullptr, WUNTRACED);
  }
  void thaw() { ::kill(pid_, SIGCONT); }
  bool running() const { return pid_ > 0; }
  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(log_path_).rdbuf();
    return text.str();
  }

 private:
  std::string log_path_;
  std::vector<std::string> arguments_;
  pid_t pid_ = 0;
};

struct TestCluster {
  /// Elections take half a second, so that a lease may last one.
  explicit TestCluster(std::size_t count, std::vector<std::string> more = {}, std::string scheme = "http") {
    std::string pattern = (std::filesystem::temp_directory_path() / "cenote-etcd-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    std::string names;
    std::vector<std::string> peers;
    for (std::size_t i = 0; i < count; ++i) {
      peers.push_back(fmt::format("http://127.0.0.1:{}", free_port()));
      endpoints.push_back(fmt::format("{}://127.0.0.1:{}", scheme, free_port()));
      names += fmt::format("{}m{}={}", i == 0 ? "" : ",", i, peers[i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::string> arguments{"etcd",
                                         "--name",
                                         fmt::format("m{}", i),
                                         "--data-dir",
                                         fmt::format("{}/m{}", folder, i),
                                         "--listen-client-urls",
                                         endpoints[i],
                                         "--advertise-client-urls",
                                         endpoints[i],
                                         "--listen-peer-urls",
                                         peers[i],
                                         "--initial-advertise-peer-urls",
                                         peers[i],
                                         "--initial-cluster",
                                         names,
                                         "--heartbeat-interval",
                                         "50",
                                         "--election-timeout",
                                         "500",
                                         "--logger",
                                         "zap",
                                         "--log-level",
                                         "warn"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      members.push_back(std::make_unique<EtcdMember>(fmt::format("{}/m{}.log", folder, i), std::move(arguments)));
    }
  }
  ~TestCluster() {
    members.clear();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  std::string start() {
    for (auto& member : members) {
      if (auto flaw = member->start(); !flaw.empty()) return flaw;
    }
    return "";
  }

  std::string folder;
  std::vector<std::string> endpoints;
  std::vector<std::unique_ptr<EtcdMember>> members;
};

/// One question to one endpoint, asked once.
inline Task<Result<Json>> ask_etcd(HttpClient& http, std::string url, std::string body, Until until) {
  CO_TRY(auto exchange, http.send({.url = std::move(url), .body = std::move(body)}));
  std::string whole;
  for (;;) {
    CO_TRY(const std::string piece, co_await exchange.read(until));
    if (piece.empty()) break;
    whole += piece;
  }
  co_return parse_answer(whole);
}

}  // namespace cenote::etcd
