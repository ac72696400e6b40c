import Foundation
import TestSupport
import Testing

@testable import mlmirror

/// Prometheus' own check: unpacked by `.ci/setup promtool`, or wherever it is.
enum Promtool {
    static let path: String? = {
        let searched = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let folders = [FolderMaker.package + "/.venv/promtool/usr/bin"] + searched
        return folders.map { $0 + "/promtool" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }()
    static let whySkipped: Comment = "promtool is missing: `.ci/setup promtool` gets it"

    static func run(_ arguments: [String], reading text: String = "") async throws -> RealPair.Result {
        let folder = try TemporaryFolder()
        let input = try folder.write("input", text)
        let tool = try #require(path)
        return try await RealPair.run("/bin/sh", ["-c", "input=$1; shift; exec \"$@\" < \"$input\"", "sh", input, tool] + arguments)
    }
}

/// What Prometheus says of what is handed out.
@Suite struct PromtoolTests {
    @Test(.enabled(if: Promtool.path != nil, Promtool.whySkipped)) func prometheusTakesTheText() async throws {
        let checked = try await Promtool.run(["check", "metrics"], reading: MetricsTests.text())
        #expect(checked.status == 0 && checked.output.isEmpty && checked.errors.isEmpty, "\(checked)")
        // It would say so.
        let wrong = try await Promtool.run(["check", "metrics"], reading: MetricsTests.text() + "mlmirror_wrong_total{ 1\n")
        #expect(wrong.status != 0)
    }

    @Test(.enabled(if: Promtool.path != nil, Promtool.whySkipped)) func prometheusTakesTheAlerts() async throws {
        let checked = try await Promtool.run(["check", "rules", MetricsFilesTests.rules])
        #expect(checked.status == 0 && checked.output.contains("SUCCESS: 7 rules found"), "\(checked)")
    }

    /// As rules, because promtool reads no dashboards.
    @Test(.enabled(if: Promtool.path != nil, Promtool.whySkipped)) func prometheusTakesTheDashboardsExpressions() async throws {
        let expressions = try MetricsFilesTests.panels().flatMap { $0.targets ?? [] }.map {
            $0.expr.replacing("$__rate_interval", with: "5m").replacing("$instance", with: ".*").replacing("$pair", with: ".*")
        }
        let rules = expressions.enumerated().map { ["record": "panel:expression:\($0.offset)", "expr": $0.element] }
        let folder = try TemporaryFolder()
        let text = try JSONSerialization.data(withJSONObject: ["groups": [["name": "dashboard", "rules": rules] as [String: Any]]])
        let path = try folder.write("rules.json", String(decoding: text, as: UTF8.self))
        let checked = try await Promtool.run(["check", "rules", path])
        #expect(checked.status == 0 && checked.output.contains("SUCCESS: \(expressions.count) rules found"), "\(checked)")
    }

    /// What fires, and what does not: `promtool test rules`.
    @Test(.enabled(if: Promtool.path != nil, Promtool.whySkipped)) func alertsFireWhereTheyShould() async throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "test.yaml",
            """
            rule_files: ["\(MetricsFilesTests.rules)"]
            evaluation_interval: 1m
            tests:
              - interval: 1m
                input_series:
                  - {series: 'mlmirror_credential_expiry_timestamp_seconds{store="primary"}', values: '0x200'}
                  - {series: 'mlmirror_credential_expiry_timestamp_seconds{store="secondary"}', values: '7200x200'}
                  - {series: 'mlmirror_verify_last_success_timestamp_seconds', values: '0x200'}
                  - {series: 'mlmirror_heartbeat_timestamp_seconds', values: '0+60x100 6000x100'}
                alert_rule_test:
                  - {eval_time: 100m, alertname: MlmirrorCredentialEnds, exp_alerts: []}
                  - eval_time: 110m
                    alertname: MlmirrorCredentialEnds
                    exp_alerts:
                      - exp_labels: {store: secondary, severity: critical}
                        exp_annotations:
                          summary: "the token for the secondary ends within a quarter of an hour, or has ended: replace it and restart"
                  - {eval_time: 99m, alertname: MlmirrorSilent, exp_alerts: []}
                  - eval_time: 105m
                    alertname: MlmirrorSilent
                    exp_alerts:
                      - exp_labels: {severity: critical}
                        exp_annotations: {summary: "mlmirror has written no metrics for two minutes: it does not run, or hangs"}
                  - {eval_time: 199m, alertname: MlmirrorNotVerified, exp_alerts: []}
              - interval: 1m
                input_series: [{series: 'mlmirror_verify_last_success_timestamp_seconds', values: '3600x4000'}]
                alert_rule_test:
                  - {eval_time: 48h, alertname: MlmirrorNotVerified, exp_alerts: []}
                  - eval_time: 52h
                    alertname: MlmirrorNotVerified
                    exp_alerts:
                      - exp_labels: {severity: warning}
                        exp_annotations: {summary: "`mlmirror verify` has not found both sides equal for two days"}
            """)
        let checked = try await Promtool.run(["test", "rules", path])
        #expect(checked.status == 0, "\(checked.output)\(checked.errors)")
    }
}
