package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for i := 0; i < 1000; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			runtime.Gosched()
			mu.Lock()
			total += i
			mu.Unlock()
		}(i)
	}
	wg.Wait()
	fmt.Println(total)
	out, err := exec.Command("echo", "from child").Output()
	fmt.Printf("%s%v\n", out, err)
	l, err := net.Listen("unix", "go.sock")
	if err != nil {
		panic(err)
	}
	go func() { c, _ := l.Accept(); c.Write([]byte("served")); c.Close() }()
	c, _ := net.Dial("unix", "go.sock")
	data, _ := io.ReadAll(c)
	fmt.Println(string(data))
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-ch)
	start := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Println(time.Since(start) >= 20*time.Millisecond)
	var all [][]byte
	for i := 0; i < 200; i++ {
		all = append(all, make([]byte, 1<<20))
		if i%10 == 0 {
			all = nil
			runtime.GC()
		}
	}
	os.WriteFile("f", []byte("data"), 0644)
	info, _ := os.Stat("f")
	fmt.Println(info.Size(), info.Mode())
	done := make(chan bool)
	go func() { for x := 0; x < 1<<28; x++ { }; done <- true }()
	<-done
	_, err = os.Open("none")
	fmt.Println(err)
}
