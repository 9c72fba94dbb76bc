from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    beside_older = "a wider column takes what the older version writes"

    dependencies = [("commerce", "0003_buyer_first")]

    operations = [
        migrations.AlterField(
            model_name="refund",
            name="reason",
            field=models.CharField(max_length=200),
        ),
    ]
