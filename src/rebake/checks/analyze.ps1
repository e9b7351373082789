# Checks the scripts that it is given: a line for each fault, exit code 1 when there are any.
# With PSScriptAnalyzer where that module is installed, with PowerShell's own parser elsewhere.
$ErrorActionPreference = 'Stop'
$faults = 0
$analyzer = Get-Module -ListAvailable -Name PSScriptAnalyzer | Select-Object -First 1
foreach ($name in $args) {
    $tokens = $null
    $errors = $null
    $path = (Resolve-Path -LiteralPath $name).Path
    $null = [System.Management.Automation.Language.Parser]::ParseFile($path, [ref]$tokens, [ref]$errors)
    foreach ($fault in $errors) {
        $place = $fault.Extent
        [Console]::Out.WriteLine("${name}:$($place.StartLineNumber):$($place.StartColumnNumber): $($fault.Message)")
        $faults++
    }
    if ($errors.Count -eq 0 -and $analyzer) {
        foreach ($record in Invoke-ScriptAnalyzer -Path $path -Severity 'Error', 'Warning') {
            [Console]::Out.WriteLine("${name}:$($record.Line):$($record.Column): $($record.RuleName): $($record.Message)")
            $faults++
        }
    }
}
if (-not $analyzer) {
    [Console]::Error.WriteLine('PSScriptAnalyzer is not installed: syntax only')
}
exit [int]($faults -gt 0)
