// SPDX-License-Identifier: Apache-2.0

// client_golang (Debian: golang-github-prometheus-client-golang-dev) for
// bench_metrics: `client_golang ROW THREADS-OR-SERIES` prints one figure.
package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

const rounds = 5

var values [1024]float64

func median(all []float64) float64 {
	sort.Float64s(all)
	return all[len(all)/2]
}

// Nanoseconds of a call, in each of the threads.
func measure(threads, n int, call func(i int)) float64 {
	var took []float64
	for round := 0; round < rounds; round++ {
		var wait sync.WaitGroup
		start := time.Now()
		for t := 0; t < threads; t++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				for i := 0; i < n; i++ {
					call(i)
				}
			}()
		}
		wait.Wait()
		took = append(took, float64(time.Since(start).Nanoseconds())/float64(n))
	}
	return median(took)
}

func expose(n int) float64 {
	registry := prometheus.NewRegistry()
	many := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bench_many_total", Help: "M."}, []string{"customer"})
	registry.MustRegister(many)
	for i := 0; i < n; i++ {
		many.WithLabelValues(fmt.Sprintf("customer-%07d", i)).Add(float64(i + 1))
	}
	var took []float64
	for round := 0; round < rounds; round++ {
		start := time.Now()
		families, err := registry.Gather()
		if err != nil {
			panic(err)
		}
		var page bytes.Buffer
		for _, family := range families {
			if _, err := expfmt.MetricFamilyToText(&page, family); err != nil {
				panic(err)
			}
		}
		took = append(took, float64(time.Since(start).Nanoseconds()))
	}
	return median(took)
}

func main() {
	row := os.Args[1]
	number, _ := strconv.Atoi(os.Args[2])
	runtime.GOMAXPROCS(runtime.NumCPU())
	for i := range values {
		values[i] = rand.Float64() * rand.Float64() * 10
	}
	switch row {
	case "add":
		counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "bench_total", Help: "B."})
		fmt.Println(measure(number, 5000000, func(int) { counter.Inc() }))
	case "observe", "observe_exemplar":
		histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bench_seconds", Help: "B.", Buckets: prometheus.DefBuckets})
		if row == "observe" {
			fmt.Println(measure(number, 2000000, func(i int) { histogram.Observe(values[i%1024]) }))
		} else {
			exemplar := prometheus.Labels{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}
			fmt.Println(measure(number, 300000, func(i int) {
				histogram.(prometheus.ExemplarObserver).ObserveWithExemplar(values[i%1024], exemplar)
			}))
		}
	case "find":
		requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bench_requests_total", Help: "B."}, []string{"method", "path", "status"})
		routes := []string{"/api/users/:id", "/api/orders", "/api/orders/:id", "/health"}
		codes := []string{"200", "201", "404", "500"}
		fmt.Println(measure(number, 2000000, func(i int) {
			requests.WithLabelValues("GET", routes[i/4%4], codes[i%4]).Inc()
		}))
	case "expose":
		fmt.Println(expose(number))
	}
}
