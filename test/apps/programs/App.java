import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class App {
  public static void main(String[] args) throws Exception {
    System.out.println(IntStream.range(0, 1000).parallel().mapToLong(x -> (long) x * x).sum());
    ExecutorService pool = Executors.newFixedThreadPool(4);
    List<Future<Integer>> futures = new ArrayList<>();
    for (int i = 0; i < 20; i++) { final int n = i; futures.add(pool.submit(() -> n * 2)); }
    int sum = 0;
    for (Future<Integer> f : futures) sum += f.get();
    pool.shutdown();
    System.out.println(sum);
    Path p = Path.of("java.txt");
    Files.writeString(p, "text");
    System.out.println(Files.size(p) + " " + Files.readString(p));
    Process child = new ProcessBuilder("echo", "child").start();
    System.out.print(new String(child.getInputStream().readAllBytes()));
    System.out.println(child.waitFor());
    byte[][] garbage = new byte[100][];
    for (int i = 0; i < 2000; i++) garbage[i % 100] = new byte[100000];
    Thread.sleep(10);
    try { Files.readString(Path.of("none")); } catch (NoSuchFileException e) { System.out.println("missing " + e.getMessage()); }
    try { Object o = null; o.toString(); } catch (NullPointerException e) { System.out.println("npe"); }
  }
}
