import Replication
import TestSupport
import Testing

/// Every write of a whole backfill fails once, in every way a write can fail, and the work goes on: nothing lost, nothing twice.
@Suite struct CrashGridTests {
    enum Failure: String, CaseIterable, Sendable {
        /// Not sent, and the store says so later.
        case notSent
        /// Done, the answer lost.
        case answerLost
        /// The daemon dies before the write.
        case diesBefore
        /// The daemon dies after the write, before it is noted.
        case diesAfter

        var fault: FakeStore.Fault {
            switch self {
            case .notSent: .unreachable
            case .answerLost: .answerLost
            case .diesBefore: .before(StoreError(.stop, .unauthorized, "dies here"))
            case .diesAfter: .after(StoreError(.stop, .unauthorized, isInDoubt: true, "dies here"))
            }
        }
        var ends: Bool { self == .diesBefore || self == .diesAfter }
    }

    @Test(arguments: Failure.allCases) func everyWriteFailsOnce(_ failure: Failure) async throws {
        let counting = try MirrorFixture()
        try await Workload(store: counting.primary).everything()
        try await counting.backfill()
        let writes = counting.secondary.writes.count
        #expect(writes > 50)
        for nth in 0..<writes {
            let fixture = try MirrorFixture()
            try await Workload(store: fixture.primary).everything()
            let seen = Locked(0)
            fixture.secondary.setFault { operation in
                guard operation.isWrite else { return nil }
                let now = seen.withLock { seen in
                    seen += 1
                    return seen - 1
                }
                return now == nth ? failure.fault : nil
            }
            do {
                let summary = try await fixture.backfill()
                #expect(summary.failures == [], "write \(nth) \(fixture.secondary.writes[nth])")
            } catch let error as StoreError {
                #expect(failure.ends, "write \(nth): \(error)")
            }
            fixture.secondary.setFault(nil)
            if failure.ends {
                let summary = try await fixture.backfill()
                #expect(summary.failures == [], "write \(nth) \(fixture.secondary.writes[nth])")
            }
            let differences = try await fixture.verify().differences
            #expect(differences == [], "write \(nth) \(fixture.secondary.writes[nth])")
        }
    }
}
