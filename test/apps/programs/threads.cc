#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>
int main() {
  std::atomic<long> sum{0};
  std::mutex mutex;
  std::vector<int> order;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 20; i++) threads.emplace_back([&, i] { sum += i; std::lock_guard lock(mutex); order.push_back(i); });
  }
  auto future = std::async(std::launch::async, [] { std::vector<long> v(1000000, 3); return std::accumulate(v.begin(), v.end(), 0L); });
  std::cout << sum << ' ' << order.size() << ' ' << future.get() << '\n';
  std::ofstream("file") << "text";
  std::cout << std::filesystem::file_size("file") << ' ' << std::filesystem::exists("none") << '\n';
  try { throw std::runtime_error("thrown"); } catch (std::exception& e) { std::cout << e.what() << '\n'; }
}
