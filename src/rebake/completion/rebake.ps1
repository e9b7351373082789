# Completion of rebake's tasks, flags and services for PowerShell; also for invoke, in a rebake
# project.
#     rebake completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName @('rebake', 'invoke', 'inv') -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $elements = @($commandAst.CommandElements | Where-Object {
            $_.Extent.EndOffset -lt $cursorPosition
        } | ForEach-Object { $_.Extent.Text })
    $typed = $elements[0]
    $before = @($elements | Select-Object -Skip 1)
    $found = @(& rebake __complete $typed "cur=$wordToComplete" @before 2>$null)
    if ($LASTEXITCODE -ne 0) {
        $line = (@($typed) + $before + $wordToComplete) -join ' '
        $found = @(& $typed --complete -- $line 2>$null) # another project's tasks
    }
    foreach ($candidate in $found) {
        $text, $says = $candidate -split "`t", 2
        if ($text.StartsWith($wordToComplete)) {
            if (-not $says) { $says = $text }
            [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $says)
        }
    }
}
