select 'first';
