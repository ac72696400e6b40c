import Foundation
import TestSupport
import Testing

@testable import Replication

/// A state file that is not what it was: refused with what to do, or good enough; never a second copy of anything.
@Suite struct DamageTests {
    private enum Damage: CaseIterable {
        case cut, zeroedPage, scrambledPage, header, pageHeader, swappedPages, anotherFile, olderCopy

        func apply(to bytes: inout [UInt8], older: [UInt8], _ draw: (Int) -> Int) {
            let page = 4096
            let pages = max(1, bytes.count / page)
            switch self {
            case .cut: bytes.removeLast(1 + draw(bytes.count - 1))
            case .zeroedPage:
                let start = draw(pages) * page
                for index in start..<min(start + page, bytes.count) { bytes[index] = 0 }
            case .scrambledPage:
                let start = draw(pages) * page
                for index in start..<min(start + page, bytes.count) { bytes[index] = UInt8(draw(256)) }
            case .header: bytes[draw(100)] ^= UInt8(1 + draw(255))
            case .pageHeader: bytes[min(bytes.count - 1, max(1, draw(pages)) * page + draw(8))] ^= UInt8(1 + draw(255))
            case .swappedPages:
                let (one, other) = (draw(pages) * page, draw(pages) * page)
                for offset in 0..<page where one + offset < bytes.count && other + offset < bytes.count {
                    bytes.swapAt(one + offset, other + offset)
                }
            case .anotherFile: bytes = Array(String(repeating: "not a state file ", count: 1 + draw(500)).utf8)
            case .olderCopy: bytes = older
            }
        }
    }

    @Test func aDamagedFileMakesNoSecondCopy() async throws {
        let random = Locked(SplitMix(seed: 1))
        func draw(_ count: Int) -> Int { random.withLock { Int($0.next() % UInt64(max(1, count))) } }
        var refused = 0
        for number in 0..<200 {
            let damage = Damage.allCases[number % Damage.allCases.count]
            let fixture = try MirrorFixture()
            let workload = Workload(store: fixture.primary)
            try await workload.everything()
            try await fixture.backfill()
            let older = try Data(contentsOf: URL(fileURLWithPath: fixture.statePath))
            try await workload.run(in: ExperimentID("0"), "later", start: 8000, files: ["log.txt": "text"])
            try await fixture.backfill()
            var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: fixture.statePath)))
            damage.apply(to: &bytes, older: Array(older), draw)
            try Data(bytes).write(to: URL(fileURLWithPath: fixture.statePath))
            try await workload.run(in: ExperimentID("0"), "last", start: 9000)
            do {
                try await fixture.backfill()
                if damage == .olderCopy { #expect(fixture.said(.stateOlderCopy), "\(number)") }
            } catch let error as StateError {
                refused += 1
                #expect("\(error)".contains(fixture.statePath), "\(number) \(damage): \(error)")
                #expect(
                    "\(error)".contains("with --state") || "\(error)".contains("with a new file")
                        || "\(error)".contains("another state file"), "\(number) \(damage): \(error)")
                for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: fixture.statePath + suffix) }
                try await fixture.backfill()
            }
            try await fixture.verify(repairing: true)
            let there = fixture.secondary.snapshot
            #expect(there.runs.count == fixture.primary.snapshot.runs.count, "\(number) \(damage)")
            #expect(there.experiments.count == fixture.primary.snapshot.experiments.count, "\(number) \(damage)")
            #expect(there.loggedModels.count == fixture.primary.snapshot.loggedModels.count, "\(number) \(damage)")
            let differences = try await fixture.verify().differences
            #expect(differences == [], "\(number) \(damage)")
        }
        #expect(refused > 50)
    }
}
