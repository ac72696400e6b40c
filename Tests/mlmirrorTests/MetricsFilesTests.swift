import Foundation
import TestSupport
import Testing

@testable import mlmirror

/// The dashboard and the alerts that are handed out, against what there is.
@Suite struct MetricsFilesTests {
    private static let dashboard = FolderMaker.package + "/config/mlmirror.grafana.json"
    static let rules = FolderMaker.package + "/config/mlmirror.rules.yaml"

    struct Dashboard: Decodable {
        struct Panel: Decodable {
            struct Target: Decodable { var expr: String }
            var id: Int
            var type: String
            var title: String
            var targets: [Target]?
        }
        var uid: String
        var panels: [Panel]
    }

    static func panels() throws -> [Dashboard.Panel] {
        try JSONDecoder().decode(Dashboard.self, from: Data(try FolderMaker.read(dashboard).utf8)).panels
    }

    /// Names of ours in an expression; in a histogram's buckets too.
    private func names(_ text: String) -> Set<String> { Set(text.matches(of: #/mlmirror_[a-z_]+/#).map { String($0.output) }) }

    @Test func theDashboardShowsSeriesThatExist() throws {
        let panels = try Self.panels()
        #expect(Set(panels.map(\.id)).count == panels.count)
        let named = panels.flatMap { panel in (panel.targets ?? []).map { (panel.title, $0.expr) } }
        let existing = MetricsTests.names()
        for (title, expression) in named {
            #expect(!names(expression).isEmpty, "\(title): \(expression)")
            for name in names(expression) { #expect(existing.contains(name), "\(title): \(name)") }
        }
        for panel in panels where panel.type != "row" { #expect(panel.targets?.isEmpty == false, "\(panel.title)") }
        // Whatever else the file speaks of: its variables.
        for name in names(try FolderMaker.read(Self.dashboard)) { #expect(existing.contains(name), "\(name)") }
        let shown = named.reduce(into: Set<String>()) { $0.formUnion(names($1.1)) }
        for name in [
            "mlmirror_store_up", "mlmirror_oldest_pending_timestamp_seconds", "mlmirror_changes_total", "mlmirror_requests_total",
            "mlmirror_request_duration_seconds_bucket", "mlmirror_dead_letters", "mlmirror_conflicts",
            "mlmirror_feed_last_success_timestamp_seconds", "mlmirror_sweep_oldest_timestamp_seconds",
        ] { #expect(shown.contains(name), "\(name) is in no panel") }
    }

    @Test func alertsSpeakOfSeriesThatExist() throws {
        let named = names(try FolderMaker.read(Self.rules))
        #expect(named.count > 6)
        for name in named { #expect(MetricsTests.names().contains(name), "\(name)") }
    }

    @Test func bothAreHandedOut() throws {
        let package = try FolderMaker.read(FolderMaker.package + "/systemd/deb/build")
        let makefile = try FolderMaker.read(FolderMaker.package + "/Makefile")
        let readme = try FolderMaker.read(FolderMaker.package + "/README.md")
        for name in ["config/mlmirror.rules.yaml", "config/mlmirror.grafana.json"] {
            #expect(FileManager.default.fileExists(atPath: FolderMaker.package + "/" + name))
            for text in [package, makefile, readme] { #expect(text.contains(name), "\(name)") }
        }
    }
}
