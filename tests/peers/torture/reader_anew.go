// A server that makes a buffered reader for each message, and loses what the one before had read ahead.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"time"
)

func serve(connection net.Conn, right bool) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		if !right {
			reader = bufio.NewReader(connection)
		}
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintf(connection, "got %s", line)
	}
}

func ask(connection net.Conn) {
	fmt.Fprint(connection, "one\n")
	time.Sleep(100 * time.Millisecond)
	fmt.Fprint(connection, "two\n")
	reader := bufio.NewReader(connection)
	for range []int{1, 2} {
		line, err := reader.ReadString('\n')
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(line)
	}
}

func main() {
	role, right, address := os.Args[1], os.Args[2] == "right", "127.0.0.1:"+os.Args[3]
	if role == "client" {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		ask(connection)
		return
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		os.Exit(1)
	}
	for {
		if connection, err := listener.Accept(); err == nil {
			go serve(connection, right)
		}
	}
}
