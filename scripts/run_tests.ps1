# Runs the tests of toolkit, backend and UI: a shim over `nox -s test`.
# What it stands for is in scripts/shim.py.
$root = Split-Path -Parent $PSScriptRoot
# On Windows, "python3" is often only a link to the Store; "py" finds the newest Python there.
$names = if ($env:OS -eq 'Windows_NT') { 'py', 'python' } else { 'python3', 'python' }
$python = Get-Command -Name $names -CommandType Application -ErrorAction SilentlyContinue |
    Select-Object -First 1
if (-not $python) {
    [Console]::Error.WriteLine('error: no Python on PATH')
    [Console]::Error.WriteLine(' next: install Python 3.11 or newer')
    exit 1
}
& $python.Source (Join-Path $root 'scripts/shim.py') 'scripts/run_tests.ps1' @args
exit $LASTEXITCODE
