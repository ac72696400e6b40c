import Curl
import Replication
import Testing

@testable import Platforms

@Suite struct AdaptiveRateTests {
    /// A service that takes so many requests in every second.
    private struct Service {
        let capacity: Int
        var second = -1
        var count = 0
        mutating func takes(at now: Double) -> Bool {
            if Int(now) != second { (second, count) = (Int(now), 0) }
            count += 1
            return count <= capacity
        }
    }

    /// Clients that always have something to send, each one request at a time.
    private func run(_ rate: inout AdaptiveRate, _ service: inout Service, from start: Double, seconds: Double, clients: Int = 32) -> (
        taken: Int, refused: Int
    ) {
        var ready = (0..<clients).map { start + Double($0) * 0.001 }
        var (taken, refused) = (0, 0)
        while let next = ready.indices.min(by: { ready[$0] < ready[$1] }), ready[next] < start + seconds {
            let sent = ready[next] + rate.turn(at: ready[next])
            if service.takes(at: sent) {
                taken += 1
                rate.wentWell(at: sent)
            } else {
                refused += 1
                rate.wasRefused(at: sent, after: nil)
            }
            ready[next] = sent + 0.02
        }
        return (taken, refused)
    }

    @Test(arguments: [5, 20, 100]) func theSustainableRateIsFoundAndKept(capacity: Int) {
        var rate = AdaptiveRate()
        var service = Service(capacity: capacity)
        _ = run(&rate, &service, from: 0, seconds: 60)
        let (taken, refused) = run(&rate, &service, from: 60, seconds: 300)
        #expect(Double(taken) > 0.75 * 300 * Double(capacity), "\(taken)")
        #expect(Double(refused) < 0.05 * Double(taken), "\(refused) of \(taken)")
    }

    @Test func withoutARefusalNothingWaits() {
        var rate = AdaptiveRate()
        #expect((0..<1000).allSatisfy { rate.turn(at: Double($0) / 1000) == 0 })
        #expect(rate.perSecond == nil)
    }

    @Test func itIsLeftAloneForAsLongAsItAsks() {
        var rate = AdaptiveRate()
        _ = rate.turn(at: 10)
        rate.wasRefused(at: 10, after: 7)
        #expect(rate.turn(at: 11) >= 6)
        // One burst is one refusal.
        rate.wasRefused(at: 10.1, after: nil)
        let once = rate.perSecond
        rate.wasRefused(at: 10.5, after: nil)
        #expect(once != nil && rate.perSecond == once)
    }

    /// Who has a turn already, and sleeps until it comes, waits as well.
    @Test func whoWaitsForATurnLeavesItAloneToo() async throws {
        let (time, sleeper) = (Locked(10.0), Locked<AdaptiveRates?>(nil))
        let rates = AdaptiveRates(
            limit: { _ in 2 }, now: { time.withLock { $0 } },
            sleep: { seconds in
                // The service asks while the first of these sleeps.
                sleeper.withLock { $0.take() }?.wasRefused("a", after: 9)
                time.withLock { $0 += seconds }
            })
        try await rates.turn("a")
        sleeper.withLock { $0 = rates }
        try await rates.turn("a")
        #expect(time.withLock { $0 } >= 19)
    }

    /// A proxy that fails one in a hundred says nothing of the rate.
    @Test func chanceIsNoLimit() {
        var rate = AdaptiveRate()
        for number in 0..<10_000 {
            let now = Double(number) / 50
            #expect(rate.turn(at: now) == 0)
            if number % 100 == 99 { rate.wasRefused(at: now, after: nil) } else { rate.wentWell(at: now) }
        }
        #expect(rate.perSecond == nil)
    }

    @Test func requestsAreToldApartByWhatTheyAreAbout() {
        func name(_ path: String, _ isWrite: Bool) -> String {
            MLflowCall(method: .post, path: path, subject: "", isWrite: isWrite).rateClass
        }
        #expect(name("/api/2.0/mlflow/runs/log-batch", true) == "write runs")
        #expect(name("/api/2.0/mlflow/model-versions/get?name=a%2Fb", false) == "read model-versions")
        #expect(name("/experiments/e/runs/r/artifacts/batch/metadata", true) == "write metadata")
    }
}
