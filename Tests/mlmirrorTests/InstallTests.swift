import Foundation
import Testing

@testable import mlmirror

/// What `make install` puts where. In the serialized suite, because it starts a process.
extension RealServersTests {
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/make"), "make is missing"))
    func makeInstallsWhatTheUnitsName() async throws {
        let folder = try TemporaryFolder()
        let program = try folder.write("program", "a program\n", mode: 0o755)
        let root = folder.file("root")
        func install() async throws {
            // A `make test` around it has flags of its own.
            let made = try await RealPair.run(
                "/usr/bin/make", ["-C", FolderMaker.package, "install", "PROGRAM=\(program)", "DESTDIR=\(root)", "PREFIX=/opt/m"],
                ["MAKEFLAGS": "", "MAKELEVEL": ""])
            #expect(made.status == 0, "\(made.output)\(made.errors)")
        }
        try await install()
        let systemd = try FolderMaker.list(FolderMaker.package + "/systemd")
        let units = systemd.filter { $0.hasSuffix(".service") || $0.hasSuffix(".timer") }
        let examples =
            try FolderMaker.list(FolderMaker.package + "/systemd/examples") + [
                "mlmirror.yaml", "mlmirror.rules.yaml", "mlmirror.grafana.json",
            ]
        let expected =
            ["opt/m/bin/mlmirror", "opt/m/lib/sysusers.d/mlmirror.conf", "opt/m/lib/systemd/catalog/mlmirror.catalog"]
            + units.map { "opt/m/lib/systemd/system/\($0)" } + examples.map { "opt/m/share/doc/mlmirror/examples/\($0)" }
            + ["etc/mlmirror/mlmirror.yaml"]
        var isFolder: ObjCBool = false
        let there = try FileManager.default.subpathsOfDirectory(atPath: root).filter { path in
            FileManager.default.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder) && !isFolder.boolValue
        }
        #expect(Set(there) == Set(expected) && there.count == expected.count)
        for path in there {
            #expect(try FolderMaker.mode("\(root)/\(path)") == (path.hasSuffix("bin/mlmirror") ? 0o755 : 0o644), "\(path)")
        }
        #expect(try FolderMaker.mode("\(root)/etc/mlmirror/credentials") == 0o700)

        #expect(try FolderMaker.read("\(root)/opt/m/bin/mlmirror") == "a program\n")
        for unit in units {
            let text = try FolderMaker.read("\(root)/opt/m/lib/systemd/system/\(unit)")
            let own = try FolderMaker.read("\(FolderMaker.package)/systemd/\(unit)")
            #expect(text == own.replacing("/usr/bin/mlmirror", with: "/opt/m/bin/mlmirror"), "\(unit)")
        }

        // Once more, for a new version: what people have written stays.
        try FolderMaker.write("state: mine.db\n", to: "\(root)/etc/mlmirror/mlmirror.yaml", mode: 0o600)
        try await install()
        #expect(try FolderMaker.read("\(root)/etc/mlmirror/mlmirror.yaml") == "state: mine.db\n")
    }
}
